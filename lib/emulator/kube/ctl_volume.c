/* PersistentVolumeClaims: each gets a volume, unless its class holds `does-not-exist`. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/ctl.h"

static void make_volume(struct ctl *ctl, const cJSON *claim, const char *name)
{
    cJSON *volume = new_object_of("v1", "PersistentVolume", NULL, name);
    cJSON *spec = json_set_object(volume, "spec");
    cJSON *reference = json_set_object(spec, "claimRef");
    const cJSON *modes = json_at(claim, "spec.accessModes");
    cJSON *capacity = json_set_object(spec, "capacity");

    json_set_str(capacity, "storage", json_str_or(claim, "spec.resources.requests.storage", "1Gi"));
    if (modes != NULL)
        json_set(spec, "accessModes", json_copy(modes));
    json_set_str(spec, "storageClassName", json_str(claim, "spec.storageClassName"));
    json_set_str(spec, "persistentVolumeReclaimPolicy", "Delete");
    json_set_str(json_set_object(spec, "hostPath"), "path", "/var/lib/volumes");
    json_set_str(reference, "apiVersion", "v1");
    json_set_str(reference, "kind", "PersistentVolumeClaim");
    json_set_str(reference, "namespace", json_str(claim, "metadata.namespace"));
    json_set_str(reference, "name", json_str(claim, "metadata.name"));
    json_set_str(reference, "uid", json_str(claim, "metadata.uid"));
    json_set_str(json_set_object(volume, "status"), "phase", "Bound");
    (void)ctl_create(ctl, volume);
}

static void bind(struct ctl *ctl, const struct resource *resource, const cJSON *claim,
                 const char *volume)
{
    cJSON *patch = json_object();
    cJSON *status = json_set_object(patch, "status");
    const cJSON *modes = json_at(claim, "spec.accessModes");

    json_set_str(json_set_object(patch, "spec"), "volumeName", volume);
    json_set_str(status, "phase", "Bound");
    if (modes != NULL)
        json_set(status, "accessModes", json_copy(modes));
    json_set_str(json_set_object(status, "capacity"), "storage",
                 json_str_or(claim, "spec.resources.requests.storage", "1Gi"));
    ctl_merge(ctl, resource, claim, patch);
}

int64_t ctl_claim(struct ctl *ctl, const struct resource *resource, const cJSON *claim)
{
    const char *class = json_str_or(claim, "spec.storageClassName", "");
    autofree char *volume = xasprintf("pvc-%s", json_str_or(claim, "metadata.uid", ""));

    if (is_deleting(claim) || strcmp(json_str_or(claim, "status.phase", ""), "Bound") == 0)
        return CTL_DONE;
    if (strstr(class, "does-not-exist") != NULL) {
        event_record(ctl, claim, "Warning", "persistentvolume-controller", "ProvisioningFailed",
                     "storageclass.storage.k8s.io \"%s\" not found", class);
        return CTL_DONE;
    }
    make_volume(ctl, claim, volume);
    event_record(ctl, claim, "Normal", "persistentvolume-controller", "ProvisioningSucceeded",
                 "Successfully provisioned volume %s", volume);
    bind(ctl, resource, claim, volume);
    return CTL_DONE;
}
