/* One write through the API. Internal to its files. */
#ifndef EMULATOR_KUBE_WRITE_H
#define EMULATOR_KUBE_WRITE_H

#include "emulator/kube/api.h"

struct write_op {
    struct call *call;
    cJSON *object; /* the body, or the patch */
    char *manager;
    bool dry_run;
    bool status;  /* the status subresource */
    bool created; /* nothing was there */
    bool removed; /* nothing is there any more */
};

/* The body, its options and what must fit the path; false when it is answered. */
bool write_begin(struct write_op *op, struct call *call);
void write_end(struct write_op *op);
/* kind, apiVersion, namespace and name of the object against the path; fills in what is missing. */
bool write_check_identity(struct write_op *op);
/* Unknown fields of a custom resource, as fieldValidation wants it; false when it is answered. */
bool write_check_fields(struct write_op *op, const cJSON *object);

/* Runs `change` with `op`, and answers. */
void write_run(struct write_op *op, store_change change);
/* `next` is what the client wants `now` to be (NULL: new): versions, status, deletion, defaults,
 * validation, ownership. Leaves `next` to the caller. */
int write_settle(struct write_op *op, const cJSON *now, cJSON *next, struct err *err);
/* 409 unless `wanted` is the version of `now`. */
int write_check_version(const struct write_op *op, const cJSON *now, const char *wanted,
                        struct err *err);

#endif
