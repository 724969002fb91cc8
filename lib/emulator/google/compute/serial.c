/* Serial ports: rings of 1 MiB, read with a cursor. */
#include "emulator/google/compute/internal.h"

#include <errno.h>
#include <inttypes.h>

static void serial_append(struct serial *serial, const char *data, size_t len)
{
    serial->total += (int64_t)len;
    if (len > SERIAL_RING) {
        data += len - SERIAL_RING;
        len = SERIAL_RING;
    }
    if (serial->len + len > SERIAL_RING) {
        size_t lost = serial->len + len - SERIAL_RING;
        memmove(serial->data, serial->data + lost, serial->len - lost);
        serial->len -= lost;
    }
    if (serial->len + len > serial->size) {
        size_t size = serial->size ? serial->size * 2 : 4096;
        while (size < serial->len + len)
            size *= 2;
        serial->size = size < SERIAL_RING ? size : SERIAL_RING;
        serial->data = xrealloc(serial->data, serial->size);
    }
    memcpy(serial->data + serial->len, data, len);
    serial->len += len;
}

/* The length of the UTF-8 character at `p`, 0 when it is none. */
static size_t character_at(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char mask, value, first_least;
        size_t len;
    } rows[] = {
        {0x80, 0x00, 0x01, 1}, {0xe0, 0xc0, 0xc2, 2}, {0xf0, 0xe0, 0xe0, 3}, {0xf8, 0xf0, 0xf0, 4}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if ((p[0] & rows[i].mask) != rows[i].value)
            continue;
        if (p[0] < rows[i].first_least || rows[i].len > left)
            return 0;
        for (size_t k = 1; k < rows[i].len; k++) {
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        }
        /* overlong forms, surrogates, beyond U+10FFFF */
        bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
                   (p[0] == 0xf0 && p[1] < 0x90) || p[0] > 0xf4 || (p[0] == 0xf4 && p[1] > 0x8f);
        return bad ? 0 : rows[i].len;
    }
    return 0;
}

/* A copy in which what is no UTF-8 (a console shows anything) is U+FFFD. */
static char *as_utf8(const char *data, size_t len)
{
    autobuf struct buf text = BUF_INIT(SERIAL_RING * 3 + 1);
    for (size_t i = 0; i < len;) {
        size_t width = character_at((const unsigned char *)data + i, len - i);
        if (width == 0) {
            buf_adds(&text, "\xef\xbf\xbd");
            i++;
        } else {
            buf_add(&text, data + i, width);
            i += width;
        }
    }
    return buf_steal(&text);
}

/* From `start` (negative: so many bytes before the end); caller frees `text` (valid UTF-8). */
static void serial_read(const struct serial *serial, int64_t start, char **text, int64_t *first,
                        int64_t *next)
{
    int64_t oldest = serial->total - (int64_t)serial->len;
    int64_t from = start >= 0 ? start : start < -serial->total ? 0 : serial->total + start;
    if (from < oldest)
        from = oldest;
    if (from > serial->total)
        from = serial->total;
    size_t len = (size_t)(serial->total - from);
    *text = as_utf8(len > 0 ? serial->data + serial->len - len : "", len);
    *first = from;
    *next = serial->total;
}

static void put(struct instance *instance, int port, const char *text)
{
    serial_append(&instance_inside(instance)->serial[port - 1], text, strlen(text));
}

void serial_boot_lines(struct instance *instance)
{
    autofree char *login = xasprintf("\r\nDebian GNU/Linux 12 %s ttyS0\r\n\r\n%s login: \r\n",
                                     instance->name, instance->name);
    put(instance, 1,
        "\r\ncSeaBIOS (version 1.8.2-google)\r\nBooting from Hard Disk 0...\r\n"
        "[    0.000000] Linux version 6.1.0-27-cloud-amd64 (debian-kernel@lists.debian.org)\r\n"
        "[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz-6.1.0-27-cloud-amd64 ro "
        "console=ttyS0,115200\r\n"
        "[    1.204710] systemd[1]: Detected virtualization google.\r\n"
        "[    2.871033] google_guest_agent[541]: GCE Agent Started\r\n");
    put(instance, 1, login);
}

void compute_serial_write(struct compute *compute, const char *instance_id, int port,
                          const char *data, size_t len)
{
    uint64_t id = 0;
    if (!parse_id(instance_id, &id) || port < 1 || port > SERIAL_PORTS)
        return;
    pthread_mutex_lock(&compute->lock);
    struct instance *instance = instance_by_id(compute, id);
    if (instance != NULL)
        serial_append(&instance_inside(instance)->serial[port - 1], data, len);
    pthread_mutex_unlock(&compute->lock);
}

static bool read_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end = NULL;
    if (text == NULL)
        return true;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return errno == 0 && end != text && *end == '\0' && value >= least && value <= most;
}

void instances_serial(struct call *call)
{
    int64_t port = 1, start = 0, first = 0, next = 0;
    const char *port_text = request_query(call->request, "port");
    const char *start_text = request_query(call->request, "start");
    struct instance *instance = call_instance(call);
    if (instance == NULL)
        return;
    if (!read_number(port_text, 1, SERIAL_PORTS, &port)) {
        invalid_value(call->answer, "port", port_text,
                      "Must be greater than or equal to 1 and less than or equal to 4");
        return;
    }
    if (!read_number(start_text, INT64_MIN, INT64_MAX, &start)) {
        invalid_value(call->answer, "start", start_text, "Must be an integer.");
        return;
    }
    if (instance->status == INSTANCE_PROVISIONING || instance->status == INSTANCE_STAGING) {
        autofree char *path = instance_path(instance);
        google_error(call->answer, 400, "resourceNotReady", "The resource '%s' is not ready", path);
        return;
    }
    autofree char *text = NULL;
    serial_read(&instance_inside(instance)->serial[port - 1], start, &text, &first, &next);
    cJSON *output = json_object();
    json_set_str(output, "kind", "compute#serialPortOutput");
    set_link(output, "selfLink", "projects/%s/zones/%s/instances/%s/serialPort", call->project,
             call->zone, instance->name);
    json_set_str(output, "contents", text);
    json_set_i64_str(output, "start", first);
    json_set_i64_str(output, "next", next);
    google_answer(call->request, call->answer, output);
}
