#include "emulator/kube/certificates.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "necoops/base/digest.h"

#define TEN_YEARS_S ((int64_t)10 * 365 * 24 * 3600)
#define BACKDATED_S 300

void certificate_clear(struct certificate *certificate)
{
    free(certificate->cert_pem);
    free(certificate->key_pem);
    *certificate = (struct certificate){0};
}

static int fail(struct err *err, const char *what)
{
    char text[256];

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    return err_set(err, ERR_FAILED, "%s: %s", what, text);
}

static char *bio_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    return xstrndup(data, (size_t)len);
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_cert(X509 **cert)
{
    X509_free(*cert);
}

static int to_pem(X509 *cert, EVP_PKEY *key, struct certificate *out, struct err *err)
{
    CLEANUP(free_bio) BIO *cert_bio = BIO_new(BIO_s_mem());
    CLEANUP(free_bio) BIO *key_bio = BIO_new(BIO_s_mem());

    if (cert_bio == NULL || key_bio == NULL || PEM_write_bio_X509(cert_bio, cert) != 1 ||
        PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return fail(err, "cannot write a certificate");
    out->cert_pem = bio_text(cert_bio);
    out->key_pem = bio_text(key_bio);
    return 0;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    int added;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension == NULL)
        return -1;
    added = X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return added == 1 ? 0 : -1;
}

static void add_name(X509_NAME *name, const char *field, const char *value)
{
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0);
}

/* Version 3, a random serial number, valid from a little before now. */
static X509 *new_cert(EVP_PKEY *key, int64_t lifetime_s)
{
    X509 *cert = X509_new();
    unsigned char serial[16];
    BIGNUM *number;

    if (cert == NULL)
        return NULL;
    random_bytes(serial, sizeof(serial));
    serial[0] &= 0x7f;
    number = BN_bin2bn(serial, sizeof(serial), NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    X509_set_version(cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATED_S);
    X509_gmtime_adj(X509_getm_notAfter(cert), (long)lifetime_s);
    X509_set_pubkey(cert, key);
    return cert;
}

int certificate_make_authority(const char *name, struct certificate *out, struct err *err)
{
    CLEANUP(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    CLEANUP(free_cert) X509 *cert = key != NULL ? new_cert(key, TEN_YEARS_S) : NULL;

    if (cert == NULL)
        return fail(err, "cannot make a certificate authority");
    add_name(X509_get_subject_name(cert), "CN", name);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    if (add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE") < 0 ||
        add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature") <
            0 ||
        add_extension(cert, cert, NID_subject_key_identifier, "hash") < 0 ||
        X509_sign(cert, key, EVP_sha256()) == 0)
        return fail(err, "cannot sign a certificate authority");
    return to_pem(cert, key, out, err);
}

static X509 *read_cert(const char *pem)
{
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem, -1);

    return bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
}

static EVP_PKEY *read_key(const char *pem)
{
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem, -1);

    return bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
}

static int add_extensions(X509 *cert, X509 *authority, const struct certificate_spec *spec)
{
    const char *usage = spec->names != NULL ? "serverAuth" : "clientAuth";

    if (add_extension(cert, authority, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
        add_extension(cert, authority, NID_key_usage, "critical,digitalSignature") < 0 ||
        add_extension(cert, authority, NID_ext_key_usage, usage) < 0)
        return -1;
    return spec->names != NULL ? add_extension(cert, authority, NID_subject_alt_name, spec->names)
                               : 0;
}

int certificate_issue(const struct certificate *authority, const struct certificate_spec *spec,
                      struct certificate *out, struct err *err)
{
    CLEANUP(free_cert) X509 *issuer = read_cert(authority->cert_pem);
    CLEANUP(free_key) EVP_PKEY *issuer_key = read_key(authority->key_pem);
    CLEANUP(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    CLEANUP(free_cert) X509 *cert = key != NULL ? new_cert(key, spec->lifetime_s) : NULL;

    if (issuer == NULL || issuer_key == NULL)
        return fail(err, "the certificate authority cannot be read");
    if (cert == NULL)
        return fail(err, "cannot make a certificate");
    for (size_t i = 0; spec->organizations != NULL && i < spec->organizations->len; i++)
        add_name(X509_get_subject_name(cert), "O", spec->organizations->items[i]);
    add_name(X509_get_subject_name(cert), "CN", spec->common_name);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    if (add_extensions(cert, issuer, spec) < 0 || X509_sign(cert, issuer_key, EVP_sha256()) == 0)
        return fail(err, "cannot sign a certificate");
    return to_pem(cert, key, out, err);
}
