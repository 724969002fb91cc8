/* Who is at work on a cluster: for those who are about to take it away. */
#ifndef NECOOPS_DEPLOY_HOLDER_H
#define NECOOPS_DEPLOY_HOLDER_H

#include "necoops/conf/conf.h"

/* Waits until nobody holds the deployment's lease, at most `timeout_ms`: ERR_BUSY names the holder
 * then. A holder that does not renew it is dead, and a cluster that cannot be asked holds nothing
 * back. */
int deploy_await_idle(const struct run *run, const struct conf *conf, const char *cluster,
                      int64_t timeout_ms, struct err *err) MUST_CHECK;

#endif
