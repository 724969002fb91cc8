/* A small snapshot of a virtual data centre: one image a VM and one JSON file a tag.
 *
 * An image is what a disk image is made of: some text, some noise, and mostly nothing (holes). What
 * its VM knows lies at a fixed place in it: 8 bytes of magic, 4 bytes of length (little-endian),
 * JSON. The first VM also has the cluster's CA. There is no cluster without the bytes. */
#include "emulator/machine/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>
#include <unistd.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define IMAGE_MAGIC  "NECOVM1\n"
#define MAGIC_LEN    8
#define IDENTITY_AT  ((uint64_t)1 << 20)
#define IDENTITY_CAP ((size_t)64 << 10)
#define IMAGE_MIN    ((uint64_t)4 << 20)
#define BLOCK        ((size_t)1 << 20)
#define STRIPES      8
#define CA_DAYS      3650

bool snapshot_tag_valid(const char *tag)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(tag);
    return len > 0 && len <= 128 && tag[0] != '.' && strspn(tag, allowed) == len;
}

cJSON *snapshot_json(const char *tag)
{
    cJSON *json = json_object();
    json_set_str(json, "tag", tag);
    json_set_str(json, "created", time_rfc3339((int64_t)time(NULL) * 1000).text);
    json_set_array(json, "nodes");
    return json;
}

void snapshot_add_node(cJSON *snapshot, const char *node, uint64_t size, const char *sha256)
{
    cJSON *item = json_object();
    autofree char *image = xasprintf("volumes/%s/root.img", node);
    json_set_str(item, "name", node);
    json_set_str(item, "image", image);
    json_set_i64(item, "size", (int64_t)size);
    json_set_str(item, "sha256", sha256);
    json_push(cJSON_GetObjectItemCaseSensitive(snapshot, "nodes"), item);
}

/* ---- reading ---- */

void image_clear(struct image *image)
{
    free(image->node);
    free(image->kubernetes_version);
    free(image->argocd_version);
    free(image->ca_cert_pem);
    free(image->ca_key_pem);
    *image = (struct image){.node = NULL};
}

static int hash_file(int fd, struct sha256_hex *out, struct err *err)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    autofree char *block = xmalloc(BLOCK);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    ssize_t n = 0;
    bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    for (off_t at = 0; ok && (n = pread(fd, block, BLOCK, at)) > 0; at += n)
        ok = EVP_DigestUpdate(md, block, (size_t)n) == 1;
    ok = ok && n == 0 && EVP_DigestFinal_ex(md, digest, &len) == 1;
    EVP_MD_CTX_free(md);
    if (!ok)
        return err_set(err, ERR_FAILED, "it cannot be read");
    autofree char *hex = hex_encode(digest, len);
    text_copy(out->text, sizeof out->text, hex);
    return 0;
}

static char *copy_or_null(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

static int read_identity(int fd, struct image *out, struct err *err)
{
    unsigned char head[MAGIC_LEN + 4];
    if (pread(fd, head, sizeof head, IDENTITY_AT) != (ssize_t)sizeof head ||
        memcmp(head, IMAGE_MAGIC, MAGIC_LEN) != 0)
        return err_set(err, ERR_FAILED, "there is no VM in it");
    uint32_t len = (uint32_t)head[8] | (uint32_t)head[9] << 8 | (uint32_t)head[10] << 16 |
                   (uint32_t)head[11] << 24;
    if (len > IDENTITY_CAP)
        return err_set(err, ERR_FAILED, "there is no VM in it");
    autofree char *text = xmalloc(len + 1);
    autojson cJSON *json = NULL;
    if (pread(fd, text, len, IDENTITY_AT + sizeof head) != (ssize_t)len ||
        json_parse(text, len, "VM", &json, err) < 0)
        return err_set(err, ERR_FAILED, "the VM in it is broken");
    const char *node = json_str(json, "node");
    const char *version = json_str(json, "kubernetesVersion");
    if (node == NULL || version == NULL)
        return err_set(err, ERR_FAILED, "the VM in it is broken");
    *out = (struct image){.node = xstrdup(node),
                          .kubernetes_version = xstrdup(version),
                          .argocd_version = copy_or_null(json_str(json, "argocdVersion")),
                          .ca_cert_pem = copy_or_null(json_str(json, "ca.cert")),
                          .ca_key_pem = copy_or_null(json_str(json, "ca.key"))};
    return 0;
}

int image_read(int fd, const char *sha256, struct image *out, struct err *err)
{
    struct sha256_hex actual;
    if (hash_file(fd, &actual, err) < 0)
        return -1;
    if (strcmp(actual.text, sha256) != 0)
        return err_set(err, ERR_FAILED, "its SHA-256 is %s, not %s", actual.text, sha256);
    return read_identity(fd, out, err);
}

/* ---- the certificate authority ---- */

static char *pem_of_key(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;
    if (bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        long len = BIO_get_mem_data(bio, &data);
        text = xstrndup(data, (size_t)len);
    }
    BIO_free(bio);
    return text;
}

static char *pem_of_cert(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;
    if (bio != NULL && PEM_write_bio_X509(bio, cert) == 1) {
        long len = BIO_get_mem_data(bio, &data);
        text = xstrndup(data, (size_t)len);
    }
    BIO_free(bio);
    return text;
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool fill_ca(X509 *cert, EVP_PKEY *key)
{
    uint64_t serial;
    random_bytes(&serial, sizeof serial);
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, 2) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), CA_DAYS * 86400L) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                      (const unsigned char *)"kubernetes-ca", -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(cert, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") &&
           add_extension(cert, NID_subject_key_identifier, "hash") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static int make_ca(char **cert_pem, char **key_pem, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    bool ok = key != NULL && cert != NULL && fill_ca(cert, key);
    *cert_pem = ok ? pem_of_cert(cert) : NULL;
    *key_pem = ok ? pem_of_key(key) : NULL;
    X509_free(cert);
    EVP_PKEY_free(key);
    if (*cert_pem != NULL && *key_pem != NULL)
        return 0;
    return err_set(err, ERR_FAILED, "the cluster's CA cannot be made");
}

/* ---- writing ---- */

static int put(int fd, const void *data, size_t len, uint64_t at, struct err *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR)
            return err_set_errno(err, ERR_FAILED, errno, "it cannot be written");
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

static void fill_text(char *block, size_t len, const char *node, uint64_t at)
{
    for (size_t i = 0; i < len; at++) {
        autofree char *line =
            xasprintf("%s systemd[1]: unit %" PRIu64 " of %" PRIu64 " reached target ready\n", node,
                      at % 97, at);
        size_t part = strlen(line);
        if (part > len - i)
            part = len - i;
        memcpy(block + i, line, part);
        i += part;
    }
}

/* Of eight stripes two are text, two are noise, and four are holes. */
static int put_stripe(int fd, int stripe, uint64_t size, const char *node, struct err *err)
{
    bool noise = stripe == 2 || stripe == 6;
    autofree char *block = xmalloc(BLOCK);
    uint64_t first = size / STRIPES * (uint64_t)stripe, end = first + size / STRIPES;
    for (uint64_t at = first; at < end; at += BLOCK) {
        size_t len = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
        if (noise)
            random_bytes(block, len);
        else
            fill_text(block, len, node, at);
        if (put(fd, block, len, at, err) < 0)
            return -1;
    }
    return 0;
}

static int put_identity(int fd, const cJSON *identity, struct err *err)
{
    autofree char *text = json_print(identity);
    uint32_t len = (uint32_t)strlen(text);
    unsigned char head[MAGIC_LEN + 4];
    memcpy(head, IMAGE_MAGIC, MAGIC_LEN);
    for (int i = 0; i < 4; i++)
        head[MAGIC_LEN + i] = (unsigned char)(len >> 8 * i);
    if (put(fd, head, sizeof head, IDENTITY_AT, err) < 0)
        return -1;
    return put(fd, text, len, IDENTITY_AT + sizeof head, err);
}

static int write_image(const char *path, uint64_t size, const char *node, const cJSON *identity,
                       struct err *err)
{
    autoclose int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "it cannot be made");
    for (int stripe = 0; stripe < STRIPES; stripe += 2) {
        if (put_stripe(fd, stripe, size, node, err) < 0)
            return -1;
    }
    return put_identity(fd, identity, err);
}

static cJSON *identity_json(const struct snapshot_spec *spec, const char *node,
                            const char *cert_pem, const char *key_pem)
{
    cJSON *json = json_object();
    json_set_str(json, "node", node);
    json_set_str(json, "kubernetesVersion", spec->kubernetes_version);
    json_set_str(json, "argocdVersion", spec->argocd_version);
    if (cert_pem != NULL) {
        cJSON *ca = json_set_object(json, "ca");
        json_set_str(ca, "cert", cert_pem);
        json_set_str(ca, "key", key_pem);
    }
    return json;
}

static int write_node(const struct snapshot_spec *spec, const char *node, const char *cert_pem,
                      const char *key_pem, cJSON *snapshot, struct err *err)
{
    autofree char *dir = xasprintf("%s/volumes/%s", spec->dir, node);
    autofree char *path = path_join(dir, "root.img");
    autojson cJSON *identity = identity_json(spec, node, cert_pem, key_pem);
    struct sha256_hex sum;
    if (fs_mkdirs(dir, 0755, err) < 0)
        return -1;
    if (write_image(path, spec->image_bytes, node, identity, err) < 0 ||
        sha256_file(path, &sum, err) < 0)
        return err_prefix(err, "'%s'", path);
    snapshot_add_node(snapshot, node, spec->image_bytes, sum.text);
    return 0;
}

static int check_spec(const struct snapshot_spec *spec, struct err *err)
{
    if (!snapshot_tag_valid(spec->tag))
        return err_set(err, ERR_USAGE, "'%s' is no tag", spec->tag);
    if (spec->nodes < 1 || spec->nodes > 1000)
        return err_set(err, ERR_USAGE, "a snapshot has 1 to 1000 nodes, not %d", spec->nodes);
    if (spec->image_bytes < IMAGE_MIN || spec->image_bytes > (uint64_t)1 << 44)
        return err_set(err, ERR_USAGE, "an image has 4 MiB to 16 TiB");
    return 0;
}

/* What somebody keeps there is neither mixed with ours nor replaced. */
static int check_empty(const char *path, struct err *err)
{
    DIR *dir = opendir(path);
    const struct dirent *entry = NULL;

    if (dir == NULL && errno == ENOENT)
        return 0;
    if (dir == NULL)
        return err_set_errno(err, ERR_USAGE, errno, "cannot write a snapshot to '%s'", path);
    do
        entry = readdir(dir);
    while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    closedir(dir);
    if (entry != NULL)
        return err_set(err, ERR_USAGE,
                       "cannot write a snapshot to '%s': it is not empty; name a new folder", path);
    return 0;
}

int placemat_write_snapshot(const struct snapshot_spec *spec, struct err *err)
{
    autofree char *cert_pem = NULL;
    autofree char *key_pem = NULL;
    if (check_spec(spec, err) < 0 || check_empty(spec->dir, err) < 0 ||
        make_ca(&cert_pem, &key_pem, err) < 0)
        return -1;
    autojson cJSON *snapshot = snapshot_json(spec->tag);
    autofree char *dir = path_join(spec->dir, "snapshots");
    autofree char *path = xasprintf("%s/%s.json", dir, spec->tag);
    if (fs_mkdirs(dir, 0755, err) < 0)
        return -1;
    /* Three machines a rack, as dctest names them. */
    for (int i = 0; i < spec->nodes; i++) {
        autofree char *node = xasprintf("rack%d-cs%d", i / 3, i % 3 + 1);
        if (write_node(spec, node, i == 0 ? cert_pem : NULL, i == 0 ? key_pem : NULL, snapshot,
                       err) < 0)
            return -1;
    }
    autofree char *text = json_print_pretty(snapshot);
    return fs_write(path, text, strlen(text), 0644, err);
}
