#include "base/internal.h"

/* Bytes that follow a lead byte, or -1 when it cannot lead. */
static int followers(unsigned char lead)
{
    if (lead < 0x80)
        return 0;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 1;
    if (lead >= 0xe0 && lead <= 0xef)
        return 2;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 3;
    return -1;
}

size_t utf8_next(const char *text, size_t len, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    static const unsigned char mask[] = {0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *bytes = (const unsigned char *)text;
    int more = followers(bytes[0]);
    uint32_t value;

    if (more < 0 || (size_t)more >= len)
        return 0;
    value = bytes[0] & mask[more];
    for (int i = 1; i <= more; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3f);
    }
    if (value < smallest[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return (size_t)more + 1;
}
