/* A bare copy of a repository, kept and brought up to date: for a machine that has no clone. */
#include "internal.h"

#include <git2/remote.h>
#include <git2/credential.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

struct fetching {
    const struct run *run;
    const struct git_credentials *credentials;
    bool asked; /* for credentials: a second time means that they were refused */
    struct err *err;
};

static void remote_freep(git_remote **remote)
{
    git_remote_free(*remote);
}

static int go_on(struct fetching *fetching)
{
    progress_tick(fetching->run->progress);
    return run_check(fetching->run, "the apps repository", fetching->err) == 0 ? 0 : GIT_EUSER;
}

static int on_progress(const git_indexer_progress *stats, void *arg)
{
    struct fetching *fetching = arg;

    if (stats->total_objects) {
        progress_update(fetching->run->progress, "%u of %u objects", stats->received_objects,
                        stats->total_objects);
    }
    return go_on(fetching);
}

static int on_message(const char *text, int len, void *arg)
{
    (void)text;
    (void)len;
    return go_on(arg);
}

static int on_credentials(git_credential **out, const char *url, const char *user,
                          unsigned int allowed, void *arg)
{
    struct fetching *fetching = arg;
    const struct git_credentials *credentials = fetching->credentials;

    (void)user;
    if (!(allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) || !credentials->token || fetching->asked ||
        !text_starts(url, "https://")) {
        err_set(fetching->err, ERR_DENIED, "'%s' %s", url,
                fetching->asked       ? "refuses the token"
                : !credentials->token ? "wants a token: set apps.token.secret"
                                      : "is not https, so it gets no token");
        return GIT_EUSER;
    }
    fetching->asked = true;
    return git_credential_userpass_plaintext_new(out, credentials->user, credentials->token);
}

static int fetch_refs(struct fetching *fetching, git_remote *remote, const char *refspec,
                      struct err *err)
{
    char *specs[] = {(char *)refspec};
    const git_strarray list = {specs, 1};
    git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
    int code;

    options.callbacks.transfer_progress = on_progress;
    options.callbacks.sideband_progress = on_message;
    options.callbacks.credentials = on_credentials;
    options.callbacks.payload = fetching;
    options.update_fetchhead = 0;
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    code = git_remote_fetch(remote, &list, &options, NULL);
    if (code == 0) {
        return 0;
    }
    if (err->code != ERR_NONE) {
        return -1;
    }
    git_fail(err, code, "cannot fetch '%s'", git_remote_url(remote));
    err->code = ERR_UNREACHABLE;
    return -1;
}

/* With a token a repository is reached over https, whatever form its URL has. */
static char *https_url(const char *url, const struct git_credentials *credentials)
{
    autofree char *normal = git_url_normal(url);

    if (!credentials->token || text_starts(url, "https://") || text_starts(url, "http://") ||
        text_starts(url, "/") || text_starts(url, "file:")) {
        return xstrdup(url);
    }
    return xasprintf("https://%s.git", normal);
}

static int open_mirror(const char *dir, struct git **git, struct err *err)
{
    git_repository *made = NULL;
    int code;

    git_setup();
    if (!fs_exists(dir)) {
        if (fs_mkdirs(dir, 0700, err) != 0) {
            return -1;
        }
        code = git_repository_init(&made, dir, 1);
        git_repository_free(made);
        if (code != 0) {
            return git_fail(err, code, "cannot make a repository in '%s'", dir);
        }
    }
    return git_open(dir, git, err);
}

int git_mirror(const struct run *run, const char *dir, const char *url,
               const struct git_credentials *credentials, const char *commit, struct err *err)
{
    autogit struct git *git = NULL;
    CLEANUP(remote_freep) git_remote *remote = NULL;
    autofree char *https = https_url(url, credentials);
    struct fetching fetching = {.run = run, .credentials = credentials, .err = err};
    int code;

    if (open_mirror(dir, &git, err) != 0) {
        return -1;
    }
    if (commit && git_has_commit(git, commit)) {
        return 0;
    }
    if (credentials->ca_file) {
        git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, credentials->ca_file, NULL);
    }
    code = git_remote_create_anonymous(&remote, git->repo, https);
    if (code != 0) {
        return git_fail(err, code, "cannot use '%s'", https);
    }
    if (fetch_refs(&fetching, remote, "+refs/heads/*:refs/remotes/origin/*", err) != 0) {
        return -1;
    }
    if (!commit || git_has_commit(git, commit)) {
        return 0;
    }
    /* one that only a pull request has (GitHub) */
    fetching.asked = false;
    if (fetch_refs(&fetching, remote, "+refs/pull/*/head:refs/remotes/origin/pull/*", err) != 0) {
        return -1;
    }
    return git_has_commit(git, commit)
               ? 0
               : err_set(err, ERR_NOT_FOUND, "no branch of '%s' has commit '%.12s'", url, commit);
}
