/* Compute Engine v1, the calls that necoops needs
 * (https://cloud.google.com/compute/docs/reference/rest/v1).
 *
 * Instances and disks are handed out as the JSON of the API. An operation is what tells the truth
 * about a change: 200 means accepted, gce_operation_wait tells how it ended.
 */
#ifndef NECOOPS_GCE_GCE_H
#define NECOOPS_GCE_GCE_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/auth/auth.h"
#include "necoops/base/json.h"
#include "necoops/base/strv.h"
#include "necoops/http/http.h"

struct gce; /* opaque: project, endpoint, connections */

int gce_new(struct http *http, struct auth *auth, const char *project, struct gce **out,
            struct err *err) MUST_CHECK;
void gce_free(struct gce *gce);
const char *gce_project(const struct gce *gce);
/* The last segment of a URL or path ("…/zones/us-a" → "us-a"); borrowed from the argument. */
const char *gce_basename(const char *url);
/* How a request's body names a resource of this project, the same wherever the endpoint is:
 * gce_url(gce, "zones/%s/machineTypes/%s", …) is "projects/PROJECT/zones/…"; caller frees. */
char *gce_url(const struct gce *gce, const char *format, ...) PRINTF_LIKE(2, 3);

/* ERR_NOT_FOUND when there is none. `fields`: a partial-response mask, or NULL. */
int gce_instance_get(struct gce *gce, const char *zone, const char *name_or_id, const char *fields,
                     cJSON **out, struct err *err) MUST_CHECK;
/* Every instance of the project over all zones that the filter accepts, page by page; `each` may
 * stop the walk with -1 (and err set). Zones that could not be asked are added to `unreachable`. */
int gce_instances_walk(struct gce *gce, const char *filter, const char *fields,
                       int (*each)(void *arg, const cJSON *instance, struct err *err), void *arg,
                       struct strv *unreachable, struct err *err) MUST_CHECK;
/* The same for disks. */
int gce_disks_walk(struct gce *gce, const char *filter, const char *fields,
                   int (*each)(void *arg, const cJSON *disk, struct err *err), void *arg,
                   struct strv *unreachable, struct err *err) MUST_CHECK;
/* Mutations answer with their operation (JSON). `request_id`: one UUID for all tries of a logical
 * request. */
int gce_instance_insert(struct gce *gce, const char *zone, const cJSON *body,
                        const char *request_id, cJSON **operation, struct err *err) MUST_CHECK;
int gce_instance_delete(struct gce *gce, const char *zone, const char *name_or_id,
                        const char *request_id, cJSON **operation, struct err *err) MUST_CHECK;
int gce_instance_set_labels(struct gce *gce, const char *zone, const char *name_or_id,
                            const cJSON *labels, const char *fingerprint, const char *request_id,
                            cJSON **operation, struct err *err) MUST_CHECK;
int gce_instance_set_metadata(struct gce *gce, const char *zone, const char *name_or_id,
                              const cJSON *metadata, const char *request_id, cJSON **operation,
                              struct err *err) MUST_CHECK;

/* Which of the permissions we have on the instance, as an array of their names. */
int gce_instance_permissions(struct gce *gce, const char *zone, const char *name_or_id,
                             const char *const *permissions, size_t count, cJSON **out,
                             struct err *err) MUST_CHECK;

/* Disks of a zone that the filter accepts, as a JSON array; deletion answers with its operation. */
int gce_disks_list(struct gce *gce, const char *zone, const char *filter, cJSON **out,
                   struct err *err) MUST_CHECK;
int gce_disk_delete(struct gce *gce, const char *zone, const char *name, const char *request_id,
                    cJSON **operation, struct err *err) MUST_CHECK;

/* Waits until the operation is DONE: 0 when it succeeded. Its error is classified: stock-out and
 * quota ERR_CAPACITY (`reason` keeps the code, "ZONE_RESOURCE_POOL_EXHAUSTED", "QUOTA_EXCEEDED"),
 * permission ERR_DENIED, RESOURCE_ALREADY_EXISTS ERR_EXISTS, RESOURCE_NOT_FOUND ERR_NOT_FOUND, bad
 * request ERR_INVALID, else ERR_FAILED. Tolerates early return, 503 and lost connections. */
int gce_operation_wait(struct gce *gce, const cJSON *operation, const char *what, struct err *err)
    MUST_CHECK;
/* Operations of a zone on this target, ended ones too as long as the service keeps them, as a JSON
 * array, oldest first. */
int gce_operations_list(struct gce *gce, const char *zone, const char *target_name, cJSON **out,
                        struct err *err) MUST_CHECK;
/* Those of them that have not ended. */
int gce_operations_running(struct gce *gce, const char *zone, const char *target_name, cJSON **out,
                           struct err *err) MUST_CHECK;
/* True when the error is a stock-out, which another zone or machine type may cure. */
bool gce_is_stockout(const struct err *err);

/* `text` gets at most its cap; `next` is where to go on; `lost` bytes were gone before `start`. */
int gce_serial_output(struct gce *gce, const char *zone, const char *name_or_id, int port,
                      int64_t start, struct buf *text, int64_t *next, int64_t *lost,
                      struct err *err) MUST_CHECK;
/* The same in one try, for who paces itself: the rate limit is ERR_CAPACITY at once. */
int gce_serial_poll(struct gce *gce, const char *zone, const char *name_or_id, int port,
                    int64_t start, struct buf *text, int64_t *next, int64_t *lost,
                    struct err *err) MUST_CHECK;
/* The attribute's value (caller frees); ERR_NOT_FOUND until it was written. */
int gce_guest_attribute(struct gce *gce, const char *zone, const char *name_or_id,
                        const char *space, const char *key, char **value, struct err *err)
    MUST_CHECK;

int gce_image_from_family(struct gce *gce, const char *project, const char *family, cJSON **out,
                          struct err *err) MUST_CHECK;
int gce_image_get(struct gce *gce, const char *project, const char *name, cJSON **out,
                  struct err *err) MUST_CHECK;
int gce_machine_type_get(struct gce *gce, const char *zone, const char *name, cJSON **out,
                         struct err *err) MUST_CHECK;

void gce_freep(struct gce **gce);
#define autogce CLEANUP(gce_freep)

#endif
