/* A client of Cloud Storage over a server that a test scripts. */
#ifndef TEST_GCS_WORLD_H
#define TEST_GCS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../support/client.h"
#include "necoops/gcs/gcs.h"

struct world {
    struct client client;
    struct gcs *gcs;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    autoerr struct err err = ERR_INIT;

    client_start(&w->client);
    assert_int_equal(gcs_new(w->client.http, NULL, &w->gcs, &err), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    gcs_free(w->gcs);
    client_stop(&w->client);
    free(w);
    return 0;
}

#endif
