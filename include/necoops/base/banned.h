/* Functions that are too easy to use wrongly are compile errors. Included by the build for every
 * file of ours, after the system's headers have been read. */
#ifndef NECOOPS_BASE_BANNED_H
#define NECOOPS_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison gets strcpy strcat strncpy strncat sprintf vsprintf atoi atol atoll strtok
#pragma GCC poison gmtime localtime ctime asctime tmpnam tempnam mktemp

#endif
