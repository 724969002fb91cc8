/* What the files of the machine share; see machine.h. */
#ifndef EMULATOR_MACHINE_INTERNAL_H
#define EMULATOR_MACHINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "emulator/kube/cluster.h"
#include "emulator/machine/machine.h"
#include "necoops/base/json.h"

#define SERIAL_PORTS 4

/* ---- the emulator's side ---- */

struct node {
    char *name;
    bool running;
    bool hangs; /* its image did not verify */
};

/* The virtual data centre of one machine. */
struct placemat {
    pthread_mutex_t lock;
    bool on;
    struct node *nodes;
    size_t count;
    struct cluster *cluster; /* NULL: none is up */
    char *version;
};
void placemat_init(struct placemat *placemat);
/* On or off, nothing runs afterwards: VMs do not survive their machine's reboot. */
void placemat_switch(struct placemat *placemat, bool on);
void placemat_clear(struct placemat *placemat);

/* The first process of a machine and what holds it. */
struct process {
    pid_t pid;    /* 0: not running */
    int lifeline; /* closing it ends the machine */
    bool namespaces;
};

enum power { POWER_NONE, POWER_REBOOT, POWER_OFF };

struct machine {
    struct machine *next;
    struct machines *machines;
    unsigned int refs; /* under the machines' lock */
    char *id, *name, *folder;
    pthread_mutex_t lock; /* over what follows; taken before the placemat's, and never while
                           * anything is written to a serial port */
    struct process process;
    char *script;
    uint16_t metadata_port;
    int local_ssds;
    _Atomic(enum power) wanted; /* asked for from inside */
    struct placemat placemat;
};

enum confinement { CONFINE_UNKNOWN, CONFINE_NAMESPACES, CONFINE_LANDLOCK };

struct machines {
    struct emu *emu;
    pthread_mutex_t lock;
    pthread_cond_t console_ended;
    struct machine *list;
    unsigned int consoles;                 /* threads */
    _Atomic(enum confinement) confinement; /* what worked the first time */
};

/* process.c */
int process_start(struct machine *machine, struct err *err);
void process_stop(struct machine *machine);

/* console.c: takes the descriptors over and serves them in a thread of its own until `text` ends.
 * `masters` feed serial ports 1 to 4 as they are, `text` is added to port 1. */
struct console {
    struct machines *machines;
    char *id;
    int text;
    int masters[SERIAL_PORTS];
    int slaves[SERIAL_PORTS]; /* kept open: a master without any slave cannot be read */
    char *names[SERIAL_PORTS];
};
int console_open(struct machine *machine, struct console **out, struct err *err);
int console_run(struct console *console, struct err *err);
void console_free(struct console *console);
void console_say(struct machine *machine, const char *format, ...) PRINTF_LIKE(2, 3);

/* placemat.c */
void placemat_handle(struct machine *machine, const struct request *request, struct answer *answer);

/* snapshot.c: the JSON of a snapshot and what is inside an image. */
struct image {
    char *node;
    char *kubernetes_version;
    char *argocd_version;           /* or NULL */
    char *ca_cert_pem, *ca_key_pem; /* in the first node's image; else NULL */
};
void image_clear(struct image *image);
/* Reads the whole image: its SHA-256 is `sha256`, and what it says is `out`. */
int image_read(int fd, const char *sha256, struct image *out, struct err *err);
/* {"tag","created","nodes":[{"name","image","size","sha256"}]} */
cJSON *snapshot_json(const char *tag);
void snapshot_add_node(cJSON *snapshot, const char *node, uint64_t size, const char *sha256);
bool snapshot_tag_valid(const char *tag);

/* ---- the inside: programs chosen by argv[0]; each returns its exit status ---- */

/* init.c: a machine's first process; its configuration comes from standard input. */
int init_command(int argc, char **argv);
struct init {
    cJSON *config;
    const char *folder, *name, *script, *program;
    int ssds;
    bool namespaces;
    uint32_t owner; /* uid and gid outside that are root inside */
};
/* init_root.c, init_plain.c: afterwards "/" (or init's root folder) is the machine's. */
int init_enter_namespaces(struct init *init, struct err *err);
int init_confine(struct init *init, struct err *err);
/* init_folder.c: makes a folder, a file, a link that belong to the machine. */
int make_folder(const struct init *init, const char *path, mode_t mode, struct err *err);
int make_file(const struct init *init, const char *path, const void *data, size_t len,
              struct err *err);
int make_link(const struct init *init, const char *target, const char *path, struct err *err);
int make_ssd(const struct init *init, const char *path, struct err *err);
/* A folder in which each necoops program beside this one is put in place. */
int make_programs(const struct init *init, const char *dir,
                  int (*place)(const struct init *init, const char *from, const char *to,
                               struct err *err),
                  struct err *err);
/* A folder with a link to the program for each command. */
int make_commands(const struct init *init, const char *dir, const char *program, struct err *err);
/* Git's settings, by which the repositories that the emulator has are read from folders: their own,
 * or BASE/0, BASE/1, … when `base` is not NULL. */
int make_gitconfig(const struct init *init, const char *path, const char *base, struct err *err);
extern const char *const command_names[]; /* NULL-terminated */

/* command.c: what stand-ins need. The prefix of the machine's files ("" with namespaces). */
const char *inside_root(void);
/* A request to this machine's listener; the body comes in `out`. -1 when it cannot be reached. */
int inside_call(const char *method, const char *path, const char *body, int *status,
                struct buf *out, struct err *err);

int pmctl_command(int argc, char **argv);
int ckecli_command(int argc, char **argv);
int mount_command(int argc, char **argv);
int mdadm_command(int argc, char **argv);
int iptables_command(int argc, char **argv);
int power_command(int argc, char **argv);
int sudo_command(int argc, char **argv);
int systemctl_command(int argc, char **argv);

#endif
