/* The agent: runs tools on the instance for those who asked in its metadata, and answers on its
 * second serial port. wire.h tells how both look.
 *
 * One request runs at a time, in the order of the metadata item; each id runs at most once, which a
 * record below `state` keeps over restarts and reboots. A tool is the program of that name beside
 * the agent's own (else in PATH), a child that ends with the agent. Requests are judged by the
 * clock of the metadata server, not by the instance's, which may be wrong.
 */
#ifndef NECOOPS_AGENT_AGENT_H
#define NECOOPS_AGENT_AGENT_H

#include "necoops/conf/conf.h"

struct agent_options {
    const char *port;  /* the device, "/dev/ttyS1" */
    const char *state; /* folder of the records, and of the copy of the apps repository */
};

/* Serves until the run is to end, which is 0: a request that runs is ended first, and answered.
 * ERR_BUSY: another agent works in this folder. */
int agent_run(const struct run *run, const struct conf *conf, const struct agent_options *options,
              struct err *err) MUST_CHECK;

#endif
