/* See jwt.h. */
#include "emulator/core/jwt.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include "necoops/base/text.h"

#define JWT_CAP ((size_t)16 << 10)

struct signing_key {
    EVP_PKEY *pkey;
};

int signing_key_new(struct signing_key **out, struct err *err)
{
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    if (pkey == NULL)
        return err_set(err, ERR_FAILED, "no RSA key could be made");
    *out = xcalloc(1, sizeof **out);
    (*out)->pkey = pkey;
    return 0;
}

void signing_key_free(struct signing_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

char *signing_key_pem(const struct signing_key *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *pem = NULL;
    if (bio != NULL && PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
        long len = BIO_get_mem_data(bio, &data);
        pem = xstrndup(data, (size_t)len);
    }
    BIO_free(bio);
    return pem;
}

static char *sign(const struct signing_key *key, const char *text)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t len = sizeof signature;
    char *encoded = NULL;
    if (context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
        EVP_DigestSign(context, signature, &len, (const unsigned char *)text, strlen(text)) == 1)
        encoded = base64url_encode(signature, len);
    EVP_MD_CTX_free(context);
    return encoded;
}

char *jwt_sign(const struct signing_key *key, const char *key_id, const cJSON *claims)
{
    autojson cJSON *header = json_object();
    json_set_str(header, "alg", "RS256");
    json_set_str(header, "kid", key_id);
    json_set_str(header, "typ", "JWT");
    autofree char *header_text = json_print(header);
    autofree char *claims_text = json_print(claims);
    autofree char *header_part = base64url_encode(header_text, strlen(header_text));
    autofree char *claims_part = base64url_encode(claims_text, strlen(claims_text));
    autofree char *signed_part = xasprintf("%s.%s", header_part, claims_part);
    autofree char *signature = sign(key, signed_part);
    return signature != NULL ? xasprintf("%s.%s", signed_part, signature) : NULL;
}

static bool signature_right(const struct signing_key *key, const char *text, size_t len,
                            const char *encoded)
{
    autobuf struct buf signature = BUF_INIT(JWT_CAP);
    if (base64_decode(encoded, strlen(encoded), &signature) < 0)
        return false;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool right = context != NULL &&
                 EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
                 EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.len,
                                  (const unsigned char *)text, len) == 1;
    EVP_MD_CTX_free(context);
    return right;
}

static int decode_part(const char *text, size_t len, cJSON **out, struct err *err)
{
    autobuf struct buf json = BUF_INIT(JWT_CAP);
    if (base64_decode(text, len, &json) < 0)
        return err_set(err, ERR_PROTOCOL, "a part of the token is no base64url");
    return json_parse(json.data, json.len, "token", out, err);
}

int jwt_verify(const struct signing_key *key, const char *token, cJSON **claims, struct err *err)
{
    autojson cJSON *header = NULL;
    const char *first = strchr(token, '.');
    const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
    if (second == NULL || strlen(token) > JWT_CAP)
        return err_set(err, ERR_PROTOCOL, "the token does not have three parts");
    if (decode_part(token, (size_t)(first - token), &header, err) < 0)
        return -1;
    if (strcmp(json_str_or(header, "alg", ""), "RS256") != 0)
        return err_set(err, ERR_PROTOCOL, "the token is not signed with RS256");
    if (!signature_right(key, token, (size_t)(second - token), second + 1))
        return err_set(err, ERR_DENIED, "the token's signature is wrong");
    return decode_part(first + 1, (size_t)(second - first - 1), claims, err);
}
