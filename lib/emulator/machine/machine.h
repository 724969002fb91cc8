/* What runs "inside" an instance: its startup script as a local process in a folder (and, where the
 * kernel allows it, user, mount and process namespaces) of its own, and the virtual data centre
 * that `pmctl` and `ckecli` control there. Nothing of the host outside that folder is written: with
 * namespaces the script sees the host's /usr read-only and folders of its own for /etc, /home,
 * /mnt, /opt, /root, /srv, /tmp, /usr/local and /var; without them Landlock keeps it from writing
 * elsewhere; where the kernel has neither, it does not run.
 *
 * Inside, PATH begins with a folder that holds `pmctl` and `ckecli` (this program, by argv[0]) and
 * the stand-ins for what touches hardware: iptables, ip6tables, mdadm, mount, poweroff, reboot,
 * shutdown, sudo, systemctl. /opt/necoops/bin has the necoops programs from the
 * folder of this one. GCE_METADATA_HOST,
 * NECOOPS_EMULATOR and STORAGE_EMULATOR_HOST point to the emulator; standard output and error go to
 * serial port 1; /dev/ttyS1 (or $NECOOPS_ROOT/dev/ttyS1) feeds port 2. Without namespaces
 * NECOOPS_ROOT names the folder. Local SSDs are files: /dev/disk/by-id/google-local-nvme-ssd-N.
 */
#ifndef EMULATOR_MACHINE_MACHINE_H
#define EMULATOR_MACHINE_MACHINE_H

#include "emulator/core/emulator.h"

struct machines;
int machines_new(struct emu *emu, struct machines **out, struct err *err);
void machines_free(struct machines *machines); /* ends every one */

struct machine_spec {
    const char *instance_id;
    const char *name;
    const char *startup_script; /* or NULL */
    uint16_t metadata_port;
    int local_ssds;
};
/* A boot; a machine that already ran keeps its folder (disks survive a reboot, local SSDs too).
 * Does nothing without the option --run-startup-scripts. What the machine writes reaches
 * compute_serial_write from a thread of its own, never from within this call. */
int machine_boot(struct machines *machines, const struct machine_spec *spec, struct err *err);
/* Ends its processes and its cluster; `erase` removes the folder as well. Idempotent. Not to be
 * called from a handler of the machine's own cluster. */
void machine_stop(struct machines *machines, const char *instance_id, bool erase);

/* The placemat side, below /computeMetadata/… is the metadata server's; this is served on the same
 * per-instance listener below /emulator/placemat/ for the commands inside only. */
void machine_handle(void *machines, const char *instance_id, const struct request *request,
                    struct answer *answer);

/* Writes a small real snapshot of a cluster of `nodes` VMs below `dir` (volumes/NODE/root.img
 * sparse, snapshots/TAG.json with their SHA-256, CA and version inside the images): option
 * --write-snapshot. */
struct snapshot_spec {
    const char *dir;
    const char *tag; /* "init" */
    int nodes;
    const char *kubernetes_version; /* "v1.27.16" */
    const char *argocd_version;     /* "v2.14.21"; NULL: no Argo CD in it */
    uint64_t image_bytes;           /* apparent size of each image; at least 4 MiB */
};
int placemat_write_snapshot(const struct snapshot_spec *spec, struct err *err);

/* True when the program was started under the name of one of its commands (pmctl, ckecli, the
 * stand-ins, a machine's first process): main then is placemat_command_main and nothing else. */
bool placemat_is_command(const char *argv0);
/* Its exit status. */
int placemat_command_main(int argc, char **argv);

#endif
