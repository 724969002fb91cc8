/* The resource types of one cluster: the built-in ones as a Kubernetes version serves them, and
 * those that CustomResourceDefinitions add. Internal to the emulator's Kubernetes.
 *
 * Objects live in a `storage`, one for each kind whatever the number of versions that show it (an
 * Ingress of extensions/v1beta1 and of networking.k8s.io/v1 is the same object). The hub is the
 * version they are kept in.
 */
#ifndef EMULATOR_KUBE_TYPES_H
#define EMULATOR_KUBE_TYPES_H

#include "emulator/kube/store.h"

enum type_flags {
    TYPE_NAMESPACED = 1 << 0,
    TYPE_STATUS = 1 << 1,      /* a /status subresource */
    TYPE_SCALE = 1 << 2,       /* a /scale subresource */
    TYPE_GENERATION = 1 << 3,  /* metadata.generation counts changes of the specification */
    TYPE_CREATE_ONLY = 1 << 4, /* reviews: answered, never stored */
    TYPE_READ_ONLY = 1 << 5,
    TYPE_CUSTOM = 1 << 6,
};

struct keyspace;

struct type {
    struct resource resource; /* first, so that a resource can be cast back */
    struct keyspace *storage;
    unsigned flags;
    const char *categories;   /* comma-separated, or "" */
    const char *subresources; /* beyond status and scale, comma-separated, or "" */
    /* of a CustomResourceDefinition */
    const char *list_kind;
    const cJSON *schema;  /* openAPIV3Schema, or NULL */
    const cJSON *columns; /* additionalPrinterColumns, or NULL */
    const cJSON *scale;   /* subresources.scale, or NULL */
    bool preserve_unknown;
    cJSON *definition; /* what the above point into; owned */
    _Atomic(bool) served;
    _Atomic(bool) established; /* true at once for built-in types */
};

static inline const struct type *type_of(const struct resource *resource)
{
    return (const struct type *)resource;
}

/* A row of the table of built-in types. */
struct builtin_type {
    const char *group, *version, *plural, *singular, *kind, *short_names, *categories;
    unsigned flags;
    const char *subresources;
    int since,
        until; /* minor versions: served from `since` on, and no more from `until` (0: always) */
    const char *storage; /* "plural.group" whose objects these are; NULL: its own */
};
extern const struct builtin_type builtin_types[];
extern const size_t builtin_types_len;

/* Every type of one cluster. Guarded by the store's lock. */
struct types {
    struct type **items; /* kept until the end, even when no longer served */
    size_t len, size;
    struct keyspace **storages;
    size_t storages_len, storages_size;
    int minor; /* of the Kubernetes version, 1.MINOR */
};

void types_init(struct types *types, int minor);
void types_clear(struct types *types);
struct type *types_find(const struct types *types, const char *group, const char *version,
                        const char *plural);
struct type *types_find_kind(const struct types *types, const char *group, const char *version,
                             const char *kind);
/* The version a client is pointed to first, of those that are served. */
struct type *types_preferred(const struct types *types, const char *group, const char *plural);
/* Registers, changes or takes away what a CustomResourceDefinition (either version) defines. */
void types_define(struct types *types, const cJSON *crd);
void types_undefine(struct types *types, const cJSON *crd);

/* Kubernetes' order of API versions: v2 before v1 before v1beta1 before v1alpha1. */
int version_compare(const char *a, const char *b);

/* "batch/v1" into its parts; the group of "v1" is "". Caller frees both. */
void api_version_split(const char *api_version, char **group, char **version);
char *api_version_of(const struct resource *resource); /* caller frees */

#endif
