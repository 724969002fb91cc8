/* RS256 JSON web tokens (RFC 7515, RFC 7519). */
#include "auth/internal.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include "necoops/base/text.h"

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_context(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *to, int size, int writing, void *arg)
{
    (void)to;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static EVP_PKEY *read_key(const char *pem)
{
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    ERR_clear_error();
    return key;
}

static char *encode_json(const cJSON *json)
{
    autofree char *text = json_print(json);

    return base64url_encode(text, strlen(text));
}

static char *signing_input(const char *key_id, const cJSON *claims)
{
    autojson cJSON *header = json_object();
    autofree char *first = NULL;
    autofree char *second = encode_json(claims);

    json_set_str(header, "alg", "RS256");
    json_set_str(header, "typ", "JWT");
    json_set_str(header, "kid", key_id);
    first = encode_json(header);
    return xasprintf("%s.%s", first, second);
}

int jwt_sign(const char *private_key_pem, const char *key_id, const cJSON *claims, char **out,
             struct err *err)
{
    CLEANUP(free_key) EVP_PKEY *key = read_key(private_key_pem);
    CLEANUP(free_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    autofree char *input = signing_input(key_id, claims);
    autofree char *text = NULL;
    unsigned char signature[1024]; /* an RSA key of 8192 bits */
    size_t len = sizeof(signature);

    if (key == NULL)
        return err_set(err, ERR_DENIED,
                       "its 'private_key' is no PEM private key; fetch the key file anew");
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
        return err_set(err, ERR_DENIED, "its 'private_key' is no RSA key; fetch the key file anew");
    if (context == NULL || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &len, (const unsigned char *)input, strlen(input)) != 1)
        return err_set(err, ERR_DENIED, "its 'private_key' cannot sign; fetch the key file anew");
    text = base64url_encode(signature, len);
    *out = xasprintf("%s.%s", input, text);
    return 0;
}
