/* Restores the VMs from the files that are in place: service commands in order, the load command,
 * and the check that what was asked for is what runs. */
#ifndef SNAPSHOT_RESTORE_H
#define SNAPSHOT_RESTORE_H

#include "necoops/snapshot/snapshot.h"

/* What the load will need, looked at before anything is downloaded: that every command is there,
 * and the monitors that nothing on the way is going to start. ERR_FAILED, ERR_USAGE. */
int restore_check(const struct run *run, const struct snapshot_options *options,
                  struct err *err) MUST_CHECK;

/* Runs the commands one after another; the first that fails ends it. `list`: array of arrays of
 * strings, or NULL; `which` is "snapshot.before". */
int restore_commands(const struct run *run, const cJSON *list, const char *which,
                     struct err *err) MUST_CHECK;
/* The load command and the verify command; or, with the loader 'qmp', a load command that starts
 * the VMs when one is given, and then their monitors. */
int restore_vms(const struct run *run, const struct snapshot_options *options,
                struct err *err) MUST_CHECK;

/* Does the output of `pmctl snapshot list` (a JSON object with one member a VM) name the tag for
 * every VM? The load command itself reports no error when the tag does not exist. */
int restore_check_list(const char *text, size_t len, const char *tag, struct err *err) MUST_CHECK;

#endif
