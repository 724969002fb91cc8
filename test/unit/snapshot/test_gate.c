#include "archive.h"
#include <time.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include "snapshot/gate.h"

#define NOW INT64_C(1790000000000) /* 2026-09-21T14:13:20Z */

/* A self-signed certificate that is valid from and to these seconds. */
static char *certificate(int64_t from, int64_t to)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    ASN1_TIME_set(X509_getm_notBefore(x509), from);
    ASN1_TIME_set(X509_getm_notAfter(x509), to);
    X509_set_pubkey(x509, key);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509);
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *pem = xstrndup(data, (size_t)len);
    BIO_free(bio);
    X509_free(x509);
    EVP_PKEY_free(key);
    return pem;
}

static void test_certificates(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const int64_t now = NOW / 1000;
    autofree char *good = certificate(now - 10, now + 10);
    autofree char *expired = certificate(now - 7200, now - 3600);
    autofree char *future = certificate(now + 3600, now + 7200);
    assert_good(gate_check_certificate(good, "the client certificate", NOW, &err), err);
    assert_int_equal(gate_check_certificate(expired, "the client certificate", NOW, &err), -1);
    assert_error(err, ERR_FAILED,
                 "the client certificate expired at 2026-09-21T13:13:20Z, and our clock says "
                 "2026-09-21T14:13:20Z");
    assert_int_equal(gate_check_certificate(future, "the cluster's CA certificate", NOW, &err), -1);
    assert_error(err, ERR_FAILED,
                 "the cluster's CA certificate is not valid before 2026-09-21T15:13:20Z, and our "
                 "clock says 2026-09-21T14:13:20Z");
    assert_int_equal(gate_check_certificate("garbage", "the client certificate", NOW, &err), -1);
    assert_error(err, ERR_FAILED, "the client certificate cannot be read");
}

static int check_clock(int64_t server_ms, int64_t took_ms, struct err *err)
{
    char date[64];
    time_t seconds = (time_t)(server_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return gate_check_clock(date, NOW - took_ms, NOW, 5000, err);
}

static void test_clock(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_good(check_clock(NOW, 10, &err), err);
    assert_good(check_clock(NOW + 5000, 10, &err), err);
    assert_good(check_clock(NOW - 5500, 10, &err), err);     /* its fraction was cut off */
    assert_good(check_clock(NOW - 20000, 20000, &err), err); /* a slow answer is no skew */
    assert_int_equal(check_clock(NOW + 3600000, 10, &err), -1);
    assert_error(err, ERR_FAILED, "the cluster's clock is 1h00m ahead of ours");
    assert_int_equal(check_clock(NOW - 7200000, 0, &err), -1);
    assert_non_null(strstr(err_text(&err), "the cluster's clock is 1h59m"));
    assert_non_null(strstr(err_text(&err), "behind ours"));
    err_clear(&err);
    assert_int_equal(gate_check_clock(NULL, NOW, NOW, 5000, &err), -1);
    assert_error(err, ERR_FAILED, "the API server tells no time");
    assert_int_equal(gate_check_clock("yesterday", NOW, NOW, 5000, &err), -1);
    assert_error(err, ERR_FAILED, "the API server tells no time");
}

static bool is_ready(const char *text, const char **reason, cJSON **keep)
{
    struct err err = ERR_INIT;
    assert_good(json_parse(text, strlen(text), "node", keep, &err), err);
    return gate_node_is_ready(*keep, reason);
}

static void test_nodes(void **state)
{
    (void)state;
    const char *reason = NULL;
    autojson cJSON *ready = NULL;
    autojson cJSON *not_ready = NULL;
    autojson cJSON *silent = NULL;
    assert_true(is_ready("{\"status\": {\"conditions\": [{\"type\": \"DiskPressure\", \"status\": "
                         "\"False\"}, {\"type\": \"Ready\", \"status\": \"True\"}]}}",
                         &reason, &ready));
    assert_false(is_ready("{\"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": "
                          "\"Unknown\", \"reason\": \"NodeStatusUnknown\", \"message\": \"Kubelet "
                          "stopped posting node status.\"}]}}",
                          &reason, &not_ready));
    assert_string_equal(reason, "Kubelet stopped posting node status.");
    assert_false(is_ready("{\"status\": {}}", &reason, &silent));
    assert_string_equal(reason, "it reports no state");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
