/* Bodies in the API's protobuf form, which kubectl sends from 1.32 on where it knows the type. Read
 * only; answers are JSON, which every client that sends protobuf accepts too. Internal. */
#ifndef EMULATOR_KUBE_PROTOBUF_H
#define EMULATOR_KUBE_PROTOBUF_H

#include <stddef.h>
#include "necoops/base/err.h"
#include "necoops/base/json.h"

/* A body with its envelope ("k8s\0", apiVersion, kind). 415 for a kind or a field that is not in
 * the tables, 400 for what is no protobuf. */
int protobuf_parse(const char *body, size_t len, cJSON **out, struct err *err) MUST_CHECK;

/* ---- the tables ---- */
enum proto_kind {
    PROTO_STRING,
    PROTO_INT,
    PROTO_BOOL,
    PROTO_MESSAGE,
    PROTO_INT_OR_STRING,
    PROTO_TIME,
    PROTO_MAP_STRING,
    PROTO_MAP_BYTES, /* base64 in JSON */
    PROTO_MAP_QUANTITY,
    PROTO_INLINE, /* a message whose fields are the holder's in JSON */
};

struct proto_field {
    unsigned number; /* 0 ends the list */
    const char *name;
    enum proto_kind kind;
    bool repeated;
    bool keep_zero; /* a pointer in Go: it is there only when it was set */
    const struct proto_field *message;
};

struct proto_root {
    const char *group, *kind;
    const struct proto_field *fields;
};
extern const struct proto_root proto_roots[];
extern const size_t proto_roots_len;

#endif
