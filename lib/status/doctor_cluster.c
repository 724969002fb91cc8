/* What the doctor asks the cluster. */
#include "doctor.h"

#include <string.h>
#include "necoops/argocd/install.h"
#include "necoops/deploy/reach.h"

static void check_argocd(struct doctor *doctor, struct kube *kube)
{
    autoerr struct err err = ERR_INIT;
    struct argocd_install install = {.present = false};
    if (argocd_install_find(kube, conf_str(doctor->conf, "argocd.namespace"), &install, &err) < 0) {
        doctor_fail(doctor, "Argo CD", OUTCOME_WRONG, NULL, &err);
        return;
    }
    const char *image = install.image ? install.image : "an image that does not tell its version";
    if (!install.present && conf_has(doctor->conf, "argocd.install"))
        doctor_add(doctor, "Argo CD", OUTCOME_WARNING, "necoops-deploy --bootstrap installs it",
                   "there is none");
    else if (!install.present)
        doctor_add(doctor, "Argo CD", OUTCOME_WRONG,
                   "set argocd.install and deploy with --bootstrap", "there is none");
    else if (!install.patches)
        doctor_add(doctor, "Argo CD", OUTCOME_WARNING,
                   "with 2.9 or newer the root application stays in sync while its children run "
                   "the commit",
                   "%s knows no spec.source.kustomize.patches", image);
    else
        doctor_add(doctor, "Argo CD", OUTCOME_OK, NULL, "%s", image);
    argocd_install_clear(&install);
}

void doctor_cluster(struct doctor *doctor, bool running)
{
    autoerr struct err err = ERR_INIT;
    autostrv struct strv names = STRV_INIT;
    autoreached struct reached reached = {.kube = NULL};
    const char *name = conf_str(doctor->conf, "instance.name");
    conf_names(doctor->conf, "clusters", &names);
    if (!strv_has(&names, name)) {
        doctor_add(doctor, "cluster", OUTCOME_SKIPPED, "necoops-deploy needs it",
                   "clusters.%s is not configured", name);
        return;
    }
    if (!running) {
        doctor_add(doctor, "cluster", OUTCOME_SKIPPED, "ask again when necoops-create has ended",
                   "there is no running instance");
        return;
    }
    autofree char *via = xasprintf("clusters.%s.via", name);
    if (strcmp(conf_str(doctor->conf, via), "instance") == 0) {
        doctor_add(doctor, "cluster", OUTCOME_SKIPPED,
                   "necoops-deploy --dry-run asks the agent there",
                   "only its instance reaches it (%s)", via);
        return;
    }
    if (cluster_reach(doctor->run, doctor->conf, name, doctor->http, &reached, &err) < 0) {
        bool coming = err.code == ERR_NO_CLUSTER;
        doctor_fail(doctor, "cluster", coming ? OUTCOME_WARNING : OUTCOME_WRONG, NULL, &err);
        return;
    }
    doctor_add(doctor, "cluster", OUTCOME_OK, NULL, "%s answers (%s)", kube_server(reached.kube),
               kube_source(reached.kube));
    check_argocd(doctor, reached.kube);
}
