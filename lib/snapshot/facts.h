/* What a manifest says of the machine that a set was saved on. */
#ifndef SNAPSHOT_FACTS_H
#define SNAPSHOT_FACTS_H

#include <openssl/asn1.h>
#include "necoops/base/run.h"
#include "necoops/base/strv.h"

/* "7.2.11" of the QEMU, "2.4.1" of the placemat in PATH; NULL where there is none. Caller frees. */
char *facts_qemu_version(const struct run *run);
char *facts_placemat_version(const struct run *run);
/* The first number of a version in what a program prints; NULL when there is none. Caller frees. */
char *facts_version_in(const char *text);

/* When the first of all certificates in these files (PEM) ends. ERR_FAILED names a file that cannot
 * be read or holds none. */
int facts_certificates_end(const struct strv *files, int64_t *end_ms, struct err *err) MUST_CHECK;
/* Milliseconds since 1970; 0 when it is no time. */
int64_t facts_time_ms(const ASN1_TIME *time);

#endif
