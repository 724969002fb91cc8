/* What an instance is to be: the configuration turned into the request that makes it. */
#ifndef NECOOPS_INSTANCE_SPEC_H
#define NECOOPS_INSTANCE_SPEC_H

#include <stdint.h>
#include "necoops/base/json.h"
#include "necoops/base/run.h"
#include "necoops/conf/conf.h"

/* Labels of ours. */
#define LABEL_OWNED    "necoops"          /* value "managed" */
#define LABEL_INSTANCE "necoops-instance" /* on disks: the instance's name */
#define LABEL_UNTIL    "necoops-until"    /* soft end, epoch seconds */
#define LABEL_SPEC     "necoops-spec"     /* hash of the specification */

struct instance_spec {
    char *name;
    struct strv zones;
    struct strv machine_types;
    int64_t soft_end, hard_end; /* wall_ms */
    cJSON *labels;
    cJSON *metadata;            /* {"items": […]} */
    char *hash;                 /* of all but what changes from day to day */
    const struct conf *conf;    /* borrowed */
};

/* ERR_USAGE for what the cloud would refuse: names, labels, sizes of metadata, number of local SSDs,
 * nested virtualization on a family without it. */
int instance_spec_load(const struct run *run, const struct conf *conf, struct instance_spec *out,
                       struct err *err) MUST_CHECK;
void instance_spec_clear(struct instance_spec *spec);
#define autospec CLEANUP(instance_spec_clear)

/* The body of instances.insert for one rung of the ladder; `image` is the image's URL. */
cJSON *instance_spec_body(const struct instance_spec *spec, const char *zone,
                          const char *machine_type, const char *image);

/* `text` made a legal label value: lower case, [a-z0-9_-], at most 63 bytes; caller frees. */
char *label_value(const char *text);

#endif
