#include "snapshot/facts.h"

#include <string.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"

#define ASK_MS  ((int64_t)10 * 1000)
#define DIGITS  "0123456789"
#define PEM_MAX BUF_MEDIUM

/* ---- versions ---- */

char *facts_version_in(const char *text)
{
    for (const char *at = text; *(at += strcspn(at, DIGITS)); at += strspn(at, DIGITS ".")) {
        size_t len = strspn(at, DIGITS ".");
        while (len > 0 && at[len - 1] == '.')
            len--;
        if (memchr(at, '.', len))
            return xstrndup(at, len);
    }
    return NULL;
}

static char *ask(const struct run *run, const char *program)
{
    CLEANUP(err_clear) struct err none = ERR_INIT;
    const char *const argv[] = {program, "--version", NULL};
    const struct proc_spec spec = {.argv = argv, .timeout_ms = ASK_MS};
    struct proc_result result = {.out = BUF_INIT(BUF_SMALL), .error = BUF_INIT(BUF_SMALL)};
    char *version = NULL;
    if (proc_run(run, &spec, &result, &none) == 0 && result.status == 0)
        version = facts_version_in(result.out.data);
    buf_clear(&result.out);
    buf_clear(&result.error);
    return version;
}

char *facts_qemu_version(const struct run *run)
{
    return ask(run, "qemu-system-x86_64");
}

char *facts_placemat_version(const struct run *run)
{
    return ask(run, "placemat");
}

/* ---- certificates ---- */

int64_t facts_time_ms(const ASN1_TIME *time)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

/* Of the certificates in one file; false when there is none. */
static bool earliest_in(const struct buf *text, int64_t *end_ms)
{
    BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
    X509 *certificate;
    bool any = false;
    while (bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        int64_t end = facts_time_ms(X509_get0_notAfter(certificate));
        any = true;
        if (end < *end_ms)
            *end_ms = end;
        X509_free(certificate);
    }
    BIO_free(bio);
    return any;
}

int facts_certificates_end(const struct strv *files, int64_t *end_ms, struct err *err)
{
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < files->len; i++) {
        autobuf struct buf text = BUF_INIT(PEM_MAX);
        if (fs_read(files->items[i], &text, err) != 0)
            return -1;
        if (!earliest_in(&text, &earliest))
            return err_set(err, ERR_FAILED, "'%s' holds no certificate (PEM)", files->items[i]);
    }
    *end_ms = earliest;
    return 0;
}
