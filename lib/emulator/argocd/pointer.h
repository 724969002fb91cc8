/* JSON pointers (RFC 6901) and JSON patches (RFC 6902). */
#ifndef EMULATOR_ARGOCD_POINTER_H
#define EMULATOR_ARGOCD_POINTER_H

#include "necoops/base/json.h"
#include "necoops/base/strv.h"

/* The reference tokens, unescaped; false when it is no pointer. */
bool pointer_split(const char *pointer, struct strv *tokens);
/* The value there (borrowed), or NULL. */
cJSON *pointer_find(cJSON *root, const char *pointer);
/* Removes the value; true when there was one. */
bool pointer_remove(cJSON *root, const char *pointer);

/* All operations in order, on *root, which may be replaced. -1: *root is half changed. */
int json_patch_apply(cJSON **root, const cJSON *operations, struct err *err);

#endif
