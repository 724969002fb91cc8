#!/bin/bash
# The team's own part of the setup: constructs the virtual data centre. On a real instance this is
# where dctest and placemat are started; in the rehearsal pmctl answers at once.
set -eu
pmctl node list
