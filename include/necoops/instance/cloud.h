/* What a tool needs to talk to Google's APIs, opened in one go. */
#ifndef NECOOPS_INSTANCE_CLOUD_H
#define NECOOPS_INSTANCE_CLOUD_H

#include "necoops/auth/auth.h"
#include "necoops/conf/conf.h"
#include "necoops/gce/gce.h"
#include "necoops/http/http.h"

struct cloud {
    struct http *http;
    struct auth *auth;
    struct gce *gce;
};

/* `project` of the configuration, or else the one that the credential names. */
int cloud_open(const struct run *run, const struct conf *conf, struct cloud *out, struct err *err)
    MUST_CHECK;
void cloud_close(struct cloud *cloud);
#define autocloud CLEANUP(cloud_close)

#endif
