/* QEMU's own monitor, QMP (https://www.qemu.org/docs/master/interop/qmp-spec.html), over Unix
 * sockets: restores a snapshot in all VMs side by side, and resumes them together. */
#ifndef SNAPSHOT_QMP_H
#define SNAPSHOT_QMP_H

#include "necoops/base/err.h"
#include "necoops/base/run.h"
#include "necoops/base/strv.h"

/* Every VM is stopped, takes the snapshot `tag` (loadvm), and only when all of them did, all go on.
 * `sockets` are paths or globs; one that is not there yet, or not listened to, is waited for until
 * the run's deadline. `count` is the number of VMs. ERR_FAILED names the VM and what QEMU said. */
int qmp_load(const struct run *run, const struct strv *sockets, const char *tag, size_t *count,
             struct err *err) MUST_CHECK;

/* May qmp_load be asked for that? With `listening`, every monitor must be there already. ERR_USAGE,
 * ERR_UNREACHABLE. */
int qmp_check(const struct strv *sockets, const char *tag, bool listening,
              struct err *err) MUST_CHECK;

#endif
