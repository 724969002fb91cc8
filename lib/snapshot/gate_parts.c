#include <string.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include "necoops/base/timefmt.h"
#include "snapshot/facts.h"
#include "snapshot/gate.h"

static void free_certificate(X509 **certificate)
{
    X509_free(*certificate);
}

static X509 *read_pem(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

int gate_check_certificate(const char *pem, const char *what, int64_t now_ms, struct err *err)
{
    CLEANUP(free_certificate) X509 *certificate = read_pem(pem);
    if (!certificate)
        return err_set(err, ERR_FAILED, "%s cannot be read", what);
    int64_t from = facts_time_ms(X509_get0_notBefore(certificate));
    int64_t to = facts_time_ms(X509_get0_notAfter(certificate));
    struct time_text now = time_rfc3339(now_ms);
    if (now_ms < from) {
        struct time_text text = time_rfc3339(from);
        return err_set(err, ERR_FAILED, "%s is not valid before %s, and our clock says %s", what,
                       text.text, now.text);
    }
    if (now_ms > to) {
        struct time_text text = time_rfc3339(to);
        return err_set(err, ERR_FAILED, "%s expired at %s, and our clock says %s", what, text.text,
                       now.text);
    }
    return 0;
}

int gate_check_clock(const char *date, int64_t sent_ms, int64_t received_ms, int64_t max_skew_ms,
                     struct err *err)
{
    struct tm tm = {0};
    const char *end = date ? strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;
    if (!end || *end)
        return err_set(err, ERR_FAILED, "the API server tells no time");
    /* The header was made somewhere between sending and receiving, and its fraction was cut off. */
    int64_t server = (int64_t)timegm(&tm) * 1000;
    int64_t ahead = server - received_ms;
    int64_t behind = sent_ms - (server + 999);
    if (ahead > max_skew_ms) {
        struct duration_text text = duration_format(ahead);
        return err_set(err, ERR_FAILED, "the cluster's clock is %s ahead of ours", text.text);
    }
    if (behind > max_skew_ms) {
        struct duration_text text = duration_format(behind);
        return err_set(err, ERR_FAILED, "the cluster's clock is %s behind ours", text.text);
    }
    return 0;
}

bool gate_node_is_ready(const cJSON *node, const char **reason)
{
    const cJSON *condition;
    *reason = "it reports no state";
    cJSON_ArrayForEach(condition, json_at(node, "status.conditions"))
    {
        if (strcmp(json_str_or(condition, "type", ""), "Ready") != 0)
            continue;
        if (strcmp(json_str_or(condition, "status", ""), "True") == 0)
            return true;
        *reason = json_str_or(condition, "message", json_str_or(condition, "reason", "not ready"));
    }
    return false;
}
