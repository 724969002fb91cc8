#include "conf/keys.h"

#include <ctype.h>
#include <string.h>
#include "necoops/base/strv.h"
#include "necoops/base/text.h"

#define SCOPES "[devstorage.read_only]"

const struct key conf_keys[] = {
    {"project", KEY_STRING, .help = "Google Cloud project of the instance"},
    {"zones", KEY_STRINGS, .help = "zones to try, in this order"},

    {"instance.name", KEY_STRING, "neco-ops", .help = "name of the one instance"},
    {"instance.machineTypes", KEY_STRINGS, "[n1-highmem-8]", .help = "machine types to try"},
    {"instance.image.project", KEY_STRING, .help = "project of the image; default: ours"},
    {"instance.image.family", KEY_STRING, .help = "image family; its newest image is taken"},
    {"instance.image.name", KEY_STRING, .help = "one exact image, instead of a family"},
    {"instance.bootDisk.type", KEY_STRING, "pd-ssd", .help = "disk type"},
    {"instance.bootDisk.sizeGb", KEY_INT, "20", .min = 1, .max = 65536, .help = "size in GB"},
    {"instance.localSsds", KEY_INT, "0", .min = 0, .max = 32, .help = "local NVMe disks"},
    {"instance.nestedVirtualization", KEY_BOOL, "false", .help = "let VMs run inside"},
    {"instance.minCpuPlatform", KEY_STRING, .help = "oldest CPU platform, \"Intel Haswell\""},
    {"instance.provisioningModel", KEY_CHOICE, "STANDARD", "STANDARD|SPOT",
     .help = "SPOT is cheaper and may be taken away"},
    {"instance.network", KEY_STRING, "default", .help = "VPC network"},
    {"instance.subnetwork", KEY_STRING, .help = "subnetwork, as regions/R/subnetworks/NAME"},
    {"instance.externalIp", KEY_BOOL, "true", .help = "an external address (or use Cloud NAT)"},
    {"instance.tags", KEY_STRINGS, .help = "network tags"},
    {"instance.serviceAccount.email", KEY_STRING, "default", .help = "account of the instance"},
    {"instance.serviceAccount.scopes", KEY_STRINGS, SCOPES, .help = "its scopes, short or whole"},
    {"instance.labels", KEY_MAP, .help = "further labels"},
    {"instance.metadata", KEY_MAP, .help = "further metadata"},
    {"instance.programs.archive", KEY_STRING, .help = "gs:// archive of the necoops programs"},
    {"instance.programs.sha256", KEY_STRING, .help = "its SHA-256, 64 hexadecimal digits"},
    {"instance.setup", KEY_PATH, .help = "the team's script, run on the instance at each boot"},
    {"instance.setupTimeout", KEY_DURATION, "30m", .min = 1000, .help = "from boot to ready"},

    {"schedule.timeZone", KEY_STRING, "UTC", .help = "name in the tz database, Asia/Tokyo"},
    {"schedule.up", KEY_CLOCK, .help = "start of the day"},
    {"schedule.down", KEY_CLOCK, .help = "end of the day"},
    {"schedule.days", KEY_STRINGS, "[mon, tue, wed, thu, fri]", .help = "days with a cluster"},
    {"schedule.holidays", KEY_STRINGS, .help = "dates without one, YYYY-MM-DD"},

    {"lifetime.until", KEY_CLOCK, .help = "soft end of the instance; default: schedule.down"},
    {"lifetime.maxExtension", KEY_DURATION, "3h", .help = "from the soft to the hard end"},

    {"snapshot.source", KEY_STRING, .help = "gs:// archive or snapshot manifest (.json)"},
    {"snapshot.to", KEY_PATH, .help = "folder on the instance"},
    {"snapshot.tag", KEY_STRING, "init", .help = "name of the snapshot inside"},
    {"snapshot.loader", KEY_CHOICE, "command", "command|qmp|none", .help = "how VMs are restored"},
    {"snapshot.load", KEY_STRINGS, .help = "load command; default: pmctl snapshot load TAG"},
    {"snapshot.verify", KEY_STRINGS, "[pmctl, snapshot, list]",
     .help = "command whose JSON tells what is loaded"},
    {"snapshot.qmp.sockets", KEY_STRINGS, .help = "monitor sockets of the VMs, for the loader qmp"},
    {"snapshot.before", KEY_COMMANDS, .help = "commands before the load, in order"},
    {"snapshot.after", KEY_COMMANDS, .help = "commands after the load, in order"},
    {"snapshot.kubeconfig.issue", KEY_STRINGS, .help = "command that prints a new kubeconfig"},
    {"snapshot.kubeconfig.to", KEY_STRING, .help = "where it goes: a file or gs://BUCKET/OBJECT"},
    {"snapshot.nodes", KEY_INT, "0", .min = 0, .max = 10000, .help = "nodes that must be Ready"},
    {"snapshot.gateTimeout", KEY_DURATION, "10m", .help = "from the load to a ready cluster"},
    {"snapshot.maxClockSkew", KEY_DURATION, "5s", .help = "between the instance and the cluster"},
    {"snapshot.connections", KEY_INT, "8", .min = 1, .max = 64, .help = "requests side by side"},
    {"snapshot.partSize", KEY_INT, "8388608", .min = 65536, .max = 268435456,
     .help = "bytes of one request"},
    {"snapshot.stallTimeout", KEY_DURATION, "10s",
     .help = "a request that gets next to nothing for so long is sent anew"},
    {"snapshot.save.from", KEY_PATH, .help = "folder that is saved; default: snapshot.to"},
    {"snapshot.save.to", KEY_STRING,
     .help = "gs:// pointer to sets (.json); default: snapshot.source"},
    {"snapshot.save.before", KEY_COMMANDS, .help = "commands that stop what writes there"},
    {"snapshot.save.after", KEY_COMMANDS, .help = "commands that start it again"},
    {"snapshot.save.exclude", KEY_STRINGS, .help = "globs of what is left out"},
    {"snapshot.save.certificates", KEY_STRINGS,
     .help = "PEM files: the set is of use until the first certificate in them ends"},
    {"snapshot.save.level", KEY_INT, "3", .min = 1, .max = 19, .help = "compression level (zstd)"},
    {"snapshot.save.keep", KEY_INT, "0", .min = 0, .max = 10000, .help = "sets that stay, 0: all"},
    {"snapshot.save.keepFor", KEY_DURATION, .help = "sets younger than this stay"},

    {"argocd.namespace", KEY_STRING, "argocd", .help = "where Argo CD and its Applications are"},
    {"argocd.install", KEY_STRING, .help = "manifests for --bootstrap: a file or gs:// object"},
    {"argocd.manifests", KEY_STRINGS,
     .help = "what --bootstrap applies after them: files, kustomizations, gs:// objects"},

    {"apps.repoURL", KEY_STRING, .help = "the apps repository, as the Applications name it"},
    {"apps.token.secret", KEY_STRING,
     .help = "token to read the repository with, in Secret Manager: projects/P/secrets/S"},
    {"apps.token.metadata", KEY_STRING, .help = "or in this item of the instance's metadata"},
    {"apps.token.user", KEY_STRING, "x-access-token", .help = "user name that goes with it"},
    {"apps.root", KEY_STRING, "argocd-config", .help = "name of the root Application"},

    {"clusters.*.path", KEY_STRING, .help = "folder of the root Application"},
    {"clusters.*.revision", KEY_STRING, "commit", .help = "\"commit\", or the branch it watches"},
    {"clusters.*.sync", KEY_CHOICE, "manual", "manual|automated", .help = "who syncs"},
    {"clusters.*.via", KEY_CHOICE, "direct", "direct|instance|here", .help = "how it is reached"},
    {"clusters.*.kubeconfig", KEY_STRING, .help = "file, gs://BUCKET/OBJECT, or \"in-cluster\""},
    {"clusters.*.context", KEY_STRING, .help = "context in it; default: its current-context"},
    {"clusters.*.tunnel", KEY_STRINGS, .help = "command that makes the API server reachable"},
    {"clusters.*.enabled", KEY_BOOL, "true", .help = "false: known, and refused"},
    {"clusters.*.reason", KEY_STRING, .help = "why it is not enabled"},

    {"deploy.stableFor", KEY_DURATION, "5s", .help = "how long all must stay healthy"},
    {"deploy.degradedGrace", KEY_DURATION, "1m", .help = "Degraded that may still pass"},
    {"deploy.syncRetries", KEY_INT, "3", .min = 0, .max = 20,
     .help = "tries again of a sync that failed, after 2, 4, 8 … seconds"},
    {"deploy.askAgain", KEY_DURATION, "10s",
     .help = "ask Argo CD again for what it has not looked at in so long"},
    {"deploy.lockTimeout", KEY_DURATION, "30m", .help = "wait for another run on the cluster"},

    {"notify.alertmanager.service", KEY_STRING,
     .help = "NAMESPACE/NAME:PORT behind the API server"},
    {"notify.alertmanager.url", KEY_STRING, .help = "or its URL"},
    {"notify.github.tokenEnv", KEY_STRING, .help = "variable that holds the token"},
    {"notify.github.url", KEY_STRING, .help = "REST API; default: of the host of apps.repoURL"},
    {"notify.slowAfter", KEY_DURATION, "20m", .help = "a deploy that runs for so long is told"},
    {"notify.reportURL", KEY_STRING, .help = "where people find the file of --report"},

    {"agent.silentAfter", KEY_DURATION, "1m", .help = "an agent that is silent so long is dead"},
    {"agent.pollEvery", KEY_DURATION, "1s", .help = "how often its serial port is asked"},
    {"agent.goneAfter", KEY_DURATION, "5m", .help = "a caller that is silent so long is gone"},
    {"results", KEY_STRING, .help = "gs:// folder for large results of the agent"},
};
const size_t conf_key_count = ARRAY_LEN(conf_keys);

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Matches row against name; "*" takes one part. 1: whole, 2: `name` is a group above the row. */
static int match(const char *row, const char *name)
{
    while (*row && *name) {
        if (*row == '*' && is_name_char(*name)) {
            row++;
            while (is_name_char(*name))
                name++;
        } else if (*row == *name) {
            row++;
            name++;
        } else {
            return 0;
        }
    }
    if (*name)
        return 0;
    return *row == '\0' ? 1 : *row == '.' ? 2 : 0;
}

const struct key *key_find(const char *name)
{
    for (size_t i = 0; i < conf_key_count; i++) {
        if (match(conf_keys[i].name, name) == 1)
            return &conf_keys[i];
    }
    return NULL;
}

bool key_is_group(const char *name)
{
    for (size_t i = 0; i < conf_key_count; i++) {
        if (match(conf_keys[i].name, name) == 2)
            return true;
    }
    return false;
}

/* The row's name with the given name's part in place of "*", cut to the given depth. */
static char *candidate(const char *row, const char *name)
{
    autobuf struct buf out = BUF_INIT(BUF_SMALL);
    const char *given = name;
    for (;;) {
        size_t part = strcspn(row, ".");
        size_t given_part = strcspn(given, ".");
        if (part == 1 && *row == '*')
            buf_add(&out, given, given_part);
        else
            buf_add(&out, row, part);
        if (given[given_part] == '\0' || row[part] == '\0')
            return buf_steal(&out);
        buf_addc(&out, '.');
        row += part + 1;
        given += given_part + 1;
    }
}

char *key_suggest(const char *name)
{
    autostrv struct strv names = STRV_INIT;
    for (size_t i = 0; i < conf_key_count; i++) {
        autofree char *text = candidate(conf_keys[i].name, name);
        if (!strv_has(&names, text))
            strv_add(&names, text);
    }
    const char *found = text_suggest(name, (const char *const *)names.items, names.len);
    return found ? xstrdup(found) : NULL;
}
