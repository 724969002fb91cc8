#include "emulator/argocd/argocd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "emulator/argocd/controller.h"
#include "emulator/core/fault.h"
#include "emulator/argocd/install.h"

struct argocd {
    struct controller *controller;
    char *work_dir;
    char *version;
};

static const char *find_mirror(void *arg, const char *url)
{
    return emu_git_mirror(arg, url);
}

static bool find_fault(void *arg, const char *app, const char *what, int64_t *pause_ms)
{
    struct fault_action action = {0};
    bool hit = faults_application(server_faults(emu_server(arg)), app, what, &action);

    if (hit)
        log_info(emu_config(arg)->log, "fault '%s' hits application '%s'", action.rule, app);
    *pause_ms = action.number;
    return hit;
}

int argocd_start(struct cluster *cluster, const char *version, struct argocd **out, struct err *err)
{
    struct emu *emu = cluster_emu(cluster);
    struct argocd *argocd = xcalloc(1, sizeof(*argocd));
    struct controller_config config = {.store = cluster_store(cluster),
                                       .log = emu_config(emu)->log,
                                       .environ = (const char *const *)environ,
                                       .mirror = find_mirror,
                                       .mirror_arg = emu,
                                       .fault = find_fault,
                                       .fault_arg = emu,
                                       .reconcile_ms = emu_config(emu)->timing.reconcile,
                                       .poll_ms = emu_config(emu)->timing.poll};

    argocd->version = xstrdup(version);
    config.version = argocd->version;
    if (install_argocd(config.store, version, err) < 0 ||
        fs_make_temp_dir(emu_data_dir(emu), "argocd-", &argocd->work_dir, err) < 0) {
        argocd_stop(argocd);
        return err_prefix(err, "Argo CD of cluster '%s'", cluster_name(cluster));
    }
    config.work_dir = argocd->work_dir;
    if (controller_start(&config, &argocd->controller, err) < 0) {
        argocd_stop(argocd);
        return -1;
    }
    *out = argocd;
    return 0;
}

void argocd_stop(struct argocd *argocd)
{
    if (argocd == NULL)
        return;
    controller_stop(argocd->controller);
    free(argocd->work_dir);
    free(argocd->version);
    free(argocd);
}
