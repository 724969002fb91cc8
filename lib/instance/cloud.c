#include "necoops/instance/cloud.h"

int cloud_open(const struct run *run, const struct conf *conf, struct cloud *out, struct err *err)
{
    autocloud struct cloud cloud = {.http = NULL};
    if (http_new(run, &cloud.http, err) < 0 || auth_find(cloud.http, &cloud.auth, err) < 0)
        return -1;
    const char *project = conf_str(conf, "project");
    if (!project)
        project = auth_project(cloud.auth);
    if (!project)
        return conf_require(conf, "project", err);
    if (gce_new(cloud.http, cloud.auth, project, &cloud.gce, err) < 0)
        return -1;
    *out = cloud;
    cloud = (struct cloud){.http = NULL};
    return 0;
}

void cloud_close(struct cloud *cloud)
{
    gce_free(cloud->gce);
    auth_free(cloud->auth);
    http_free(cloud->http);
    *cloud = (struct cloud){.http = NULL};
}
