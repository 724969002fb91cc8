/* Services: their Endpoints and EndpointSlices, the addresses of load balancers; Ingresses too. */
#include <stdlib.h>
#include <string.h>
#include "emulator/kube/ctl.h"
#include "emulator/kube/selector.h"

#define SLICES_SINCE 21

struct endpoints {
    struct ctl *ctl;
    const cJSON *service;
    struct stored **pods;
};

/* The number of the pod's port that a service's targetPort names. */
static bool target_number(const cJSON *port, const cJSON *pod, int64_t *out)
{
    const cJSON *target = json_get(port, "targetPort");
    const cJSON *container;
    const cJSON *own;

    if (!cJSON_IsString(target))
        return json_i64(port, target != NULL ? "targetPort" : "port", out);
    cJSON_ArrayForEach(container, json_at(pod, "spec.containers"))
    {
        cJSON_ArrayForEach(own, json_get(container, "ports"))
        {
            if (str_equal(json_str(own, "name"), target->valuestring))
                return json_i64(own, "containerPort", out);
        }
    }
    return false;
}

static cJSON *ports_of(const struct endpoints *endpoints, const cJSON *pod)
{
    cJSON *list = json_array();
    const cJSON *port;

    cJSON_ArrayForEach(port, json_at(endpoints->service, "spec.ports"))
    {
        cJSON *item;
        int64_t number;

        if (!target_number(port, pod, &number))
            continue;
        item = json_object();
        json_set_str(item, "name", json_str(port, "name"));
        json_set_i64(item, "port", number);
        json_set_str(item, "protocol", json_str_or(port, "protocol", "TCP"));
        json_push(list, item);
    }
    return list;
}

static cJSON *target_of(const cJSON *pod)
{
    cJSON *target = json_object();

    json_set_str(target, "kind", "Pod");
    json_set_str(target, "namespace", json_str(pod, "metadata.namespace"));
    json_set_str(target, "name", json_str(pod, "metadata.name"));
    json_set_str(target, "uid", json_str(pod, "metadata.uid"));
    return target;
}

static bool serves(const struct endpoints *endpoints, const cJSON *pod)
{
    return selector_map_matches(json_at(endpoints->service, "spec.selector"),
                                json_at(pod, "metadata.labels")) &&
           json_str(pod, "status.podIP") != NULL && !is_deleting(pod) && !pod_is_over(pod);
}

/* One subset: the addresses that are ready, and those that are not yet. */
static cJSON *subsets_of(const struct endpoints *endpoints)
{
    cJSON *list = json_array();
    cJSON *subset = json_object();
    cJSON *ports = NULL;

    for (size_t i = 0; endpoints->pods[i] != NULL; i++) {
        const cJSON *pod = endpoints->pods[i]->object;
        bool ready = pod_is_ready(pod) ||
                     json_bool(endpoints->service, "spec.publishNotReadyAddresses", false);
        cJSON *address;

        if (!serves(endpoints, pod))
            continue;
        address = json_object();
        json_set_str(address, "ip", json_str(pod, "status.podIP"));
        json_set_str(address, "nodeName", json_str(pod, "spec.nodeName"));
        json_set(address, "targetRef", target_of(pod));
        json_push(json_need_array(subset, ready ? "addresses" : "notReadyAddresses"), address);
        if (ports == NULL)
            ports = json_set(subset, "ports", ports_of(endpoints, pod));
    }
    if (ports != NULL) {
        json_push(list, subset);
        return list;
    }
    cJSON_Delete(subset);
    return list;
}

static void put(struct ctl *ctl, cJSON *object)
{
    autoerr struct err err = ERR_INIT;

    /* It fails only while the namespace goes away. */
    (void)store_put(ctl->store, object, &err);
}

static void put_endpoints(struct endpoints *endpoints, const cJSON *subsets)
{
    const cJSON *service = endpoints->service;
    cJSON *object = new_object_of("v1", "Endpoints", json_str(service, "metadata.namespace"),
                                  json_str(service, "metadata.name"));
    const cJSON *labels = json_at(service, "metadata.labels");

    if (labels != NULL)
        json_set(json_get(object, "metadata"), "labels", json_copy(labels));
    if (subsets->child != NULL)
        json_set(object, "subsets", json_copy(subsets));
    put(endpoints->ctl, object);
}

static void add_slice_endpoints(cJSON *list, const cJSON *addresses, bool ready)
{
    const cJSON *address;

    cJSON_ArrayForEach(address, addresses)
    {
        cJSON *item = json_object();
        cJSON *conditions = json_set_object(item, "conditions");

        json_push_str(json_set_array(item, "addresses"), json_str_or(address, "ip", ""));
        json_set_bool(conditions, "ready", ready);
        json_set_bool(conditions, "serving", ready);
        json_set_bool(conditions, "terminating", false);
        json_set_str(item, "nodeName", json_str(address, "nodeName"));
        json_set(item, "targetRef", json_copy(json_get(address, "targetRef")));
        json_push(list, item);
    }
}

static void put_slice(struct endpoints *endpoints, const cJSON *subsets)
{
    const cJSON *service = endpoints->service;
    const char *uid = json_str_or(service, "metadata.uid", "");
    autofree char *name = xasprintf("%.57s-%.5s", json_str_or(service, "metadata.name", ""), uid);
    cJSON *slice;
    cJSON *labels;
    cJSON *list;

    if (store_minor(endpoints->ctl->store) < SLICES_SINCE)
        return;
    slice = new_object_of("discovery.k8s.io/v1", "EndpointSlice",
                          json_str(service, "metadata.namespace"), name);
    labels = json_set_object(json_get(slice, "metadata"), "labels");
    json_set_str(labels, "kubernetes.io/service-name", json_str(service, "metadata.name"));
    json_set_str(labels, "endpointslice.kubernetes.io/managed-by",
                 "endpointslice-controller.k8s.io");
    set_owner(slice, service);
    json_set_str(slice, "addressType", "IPv4");
    list = json_set_array(slice, "endpoints");
    add_slice_endpoints(list, json_at(subsets, "[0].addresses"), true);
    add_slice_endpoints(list, json_at(subsets, "[0].notReadyAddresses"), false);
    json_set(slice, "ports",
             subsets->child != NULL ? json_copy(json_at(subsets, "[0].ports")) : json_array());
    put(endpoints->ctl, slice);
}

/* ---- load balancers ---- */

static cJSON *balancer_status(struct ctl *ctl, const char *wanted)
{
    cJSON *status = json_object();
    cJSON *item = json_object();
    unsigned number = ++ctl->next_balancer_address;
    autofree char *address = xasprintf("10.72.%u.%u", number >> 8 & 0xff, number & 0xff);

    json_set_str(item, "ip", wanted != NULL ? wanted : address);
    json_push(json_set_array(json_set_object(status, "loadBalancer"), "ingress"), item);
    return status;
}

static bool has_address(const cJSON *object)
{
    return json_at(object, "status.loadBalancer.ingress[0]") != NULL;
}

int64_t ctl_service(struct ctl *ctl, const struct resource *resource, const cJSON *service)
{
    struct endpoints endpoints = {.ctl = ctl, .service = service};
    bool balancer = strcmp(json_str_or(service, "spec.type", ""), "LoadBalancer") == 0;

    if (is_deleting(service))
        return CTL_DONE;
    if (balancer && !has_address(service)) {
        event_record(ctl, service, "Normal", "service-controller", "EnsuredLoadBalancer",
                     "Ensured load balancer");
        ctl_set_status(ctl, resource, service,
                       balancer_status(ctl, json_str(service, "spec.loadBalancerIP")));
    }
    if (cJSON_GetArraySize(json_at(service, "spec.selector")) > 0) {
        autojson cJSON *subsets = NULL;

        endpoints.pods = store_list(ctl->store, ctl_resource(ctl, "", "pods"),
                                    json_str_or(service, "metadata.namespace", ""), NULL);
        subsets = subsets_of(&endpoints);
        put_endpoints(&endpoints, subsets);
        put_slice(&endpoints, subsets);
        store_list_free(endpoints.pods);
    }
    return CTL_DONE;
}

int64_t ctl_ingress(struct ctl *ctl, const struct resource *resource, const cJSON *ingress)
{
    if (!is_deleting(ingress) && !has_address(ingress))
        ctl_set_status(ctl, resource, ingress, balancer_status(ctl, NULL));
    return CTL_DONE;
}
