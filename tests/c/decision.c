/* decision - for every encoding of an EKU, the callback decides as the rule's words say.
 *
 * Usage: decision COUNT SEED CERTIFICATE...  The EKU extensions of the certificates (DER) are tried
 * as they are and then, COUNT encodings in all, mutated in a way that SEED determines.  Each gets
 * into a certificate of its own, its own trust anchor, which is judged twice, from fresh objects:
 *
 * - by the rule: decode the EKU with X509_get_ext_d2i(), walk its OIDs, choose purpose and trust
 *   for X509_verify_cert() accordingly (rule_says_server, judge_by_rule);
 * - by ccert_verify_callback(), which asks OpenSSL's cache instead (judge_by_ccert).
 *
 * Decision, verdict, X509_V_ERR number and depth must agree, and the callback must leave OpenSSL's
 * error queue as it found it when the verdict is "trusted".  The last line says how many did not;
 * exits with 1 if any, 2 if the test itself failed.
 */
#include "internal.h"
#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define VALUE_SIZE 256  /* octets of an extension's value, at most */
#define REPEATS 3       /* EKU extensions in a certificate, at most */
#define SEEDS 256       /* certificates on the command line, at most */
#define REPORTS 10      /* disagreements told in full, at most */
#define PRIOR_REASON 1  /* of the entry that is on the error queue before the callback runs */
#define LITTER_REASON 2 /* of those added by verification */

typedef struct {
    unsigned char octets[VALUE_SIZE];
    size_t size;
} value;

/* All EKU extensions of one certificate: none, one, or, invalid, several. */
typedef struct {
    value values[REPEATS];
    int count;
    bool critical;
    bool spoiled; /* another extension of the certificate is malformed */
} usage;

/* The anchor's trust settings (x509(1), TRUSTED CERTIFICATE). */
enum setting { PLAIN, TRUST_SERVER, TRUST_CLIENT, REJECT_SERVER, REJECT_CLIENT, SETTINGS };

enum decoded { DECODED, ABSENT, REPEATED, UNDECODABLE };

/* What a verification meets besides the certificate. */
typedef struct {
    enum setting anchor;
    unsigned long flags; /* X509_V_FLAG_... */
    bool prior;          /* an entry is on the error queue already */
    bool outer_mark;     /* ... and somebody has marked it */
    bool ask_first; /* ccert_lists_server_only() sees the certificate before the callback does */
    int litter;     /* entries that verification adds */
} circumstances;

typedef struct {
    bool server;
    bool trusted;
    int error;
    int depth;
} judgement;

typedef struct {
    X509 *leaf;
    X509_STORE *store;
    X509_STORE_CTX *sc;
} bench;

typedef struct {
    size_t encodings, server, trusted, trusted_as_server, undecodable, repeated, disagreements;
} tally;

static usage seeds[SEEDS];
static size_t seed_count;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "decision: cannot %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

/* -- chance: xorshift64*, so that a seed tells the whole run -- */

static uint64_t random_state;

static void seed_random(uint64_t seed)
{
    random_state = seed * 0x9E3779B97F4A7C15u + 1; /* never 0, which would stay 0 */
}

static uint32_t random_bits(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1Du) >> 32);
}

static size_t below(size_t bound)
{
    return random_bits() % bound;
}

static bool one_in(size_t bound)
{
    return below(bound) == 0;
}

/* -- mutation; what does not fit is left undone -- */

static bool insert(value *v, size_t at, const unsigned char *octets, size_t size)
{
    if (v->size + size > VALUE_SIZE)
        return false;
    memmove(v->octets + at + size, v->octets + at, v->size - at);
    memcpy(v->octets + at, octets, size);
    v->size += size;
    return true;
}

static const value *any_seed_value(void)
{
    for (;;) {
        const usage *u = &seeds[below(seed_count)];

        if (u->count > 0)
            return &u->values[below((size_t)u->count)];
    }
}

static void flip_bit(value *v)
{
    if (v->size > 0)
        v->octets[below(v->size)] ^= (unsigned char)(1u << below(8));
}

/* set_octet - to one that means something in BER or is at the edge of a range */
static void set_octet(value *v)
{
    static const unsigned char telling[] = {0x00, 0x01, 0x06, 0x30, 0x7f, 0x80, 0x81, 0xff};

    if (v->size > 0)
        v->octets[below(v->size)] = telling[below(sizeof(telling))];
}

static void insert_octet(value *v)
{
    unsigned char octet = (unsigned char)below(256);

    (void)insert(v, below(v->size + 1), &octet, 1);
}

static void delete_octet(value *v)
{
    size_t at;

    if (v->size == 0)
        return;
    at = below(v->size);
    memmove(v->octets + at, v->octets + at + 1, v->size - at - 1);
    v->size--;
}

static void truncate_value(value *v)
{
    v->size = below(v->size + 1);
}

/* splice - go on with the end of another value */
static void splice(value *v)
{
    const value *other = any_seed_value();
    size_t from = below(other->size + 1);

    truncate_value(v);
    (void)insert(v, v->size, other->octets + from, other->size - from);
}

/* lengthen - let the outermost length follow, where it is a short one */
static void lengthen(value *v, size_t by)
{
    if (v->size > 1 && v->octets[1] + by < 0x80)
        v->octets[1] = (unsigned char)(v->octets[1] + by);
}

/* find_oid - where any of the OIDs starts, and its octets with tag and length; 0: there is none */
static size_t find_oid(const value *v, size_t *size)
{
    size_t found = 0, seen = 0;

    for (size_t at = 2; at + 2 < v->size; at++) {
        size_t whole = 2 + (size_t)v->octets[at + 1];

        if (v->octets[at] != V_ASN1_OBJECT || at + whole > v->size || !one_in(++seen))
            continue;
        found = at;
        *size = whole;
    }
    return found;
}

/* add_oid - list an OID more, in front; one's own is a duplicate, another's may change all */
static void add_oid(value *v)
{
    value from = one_in(2) ? *v : *any_seed_value();
    size_t size = 0, at = find_oid(&from, &size);

    if (at > 0 && v->size >= 2 && insert(v, 2, from.octets + at, size))
        lengthen(v, size);
}

/* change_oid - name another usage, next to the old one; most often one unknown to OpenSSL */
static void change_oid(value *v)
{
    size_t size, at = find_oid(v, &size);

    if (at > 0 && size > 2)
        v->octets[at + size - 1] = (unsigned char)below(0x80);
}

/* lengthen_oid - encode one length in two octets: BER, no longer DER */
static void lengthen_oid(value *v)
{
    static const unsigned char long_form = 0x81;
    size_t size, at = find_oid(v, &size);

    if (at > 0 && insert(v, at + 1, &long_form, 1))
        lengthen(v, 1);
}

/* lengthen_list - likewise the outermost length, or leave it open */
static void lengthen_list(value *v)
{
    static const unsigned char forms[] = {0x82, 0x00}, end[] = {0x00, 0x00};

    if (v->size < 2)
        return;
    if (one_in(2))
        (void)insert(v, 1, forms, sizeof(forms));
    else if (insert(v, v->size, end, sizeof(end)))
        v->octets[1] = 0x80;
}

/* mutate - first in ways that tend to keep it decodable, or nearly nothing would be, then in any */
static void mutate(value *v)
{
    static void (*const ways[])(value *) = {
        change_oid, lengthen_oid, lengthen_list, add_oid,        change_oid, flip_bit,
        set_octet,  insert_octet, delete_octet,  truncate_value, splice,
    };
    size_t added = below(4), rounds = 1 + below(3);

    while (added-- > 0)
        add_oid(v);
    while (rounds-- > 0)
        ways[below(sizeof(ways) / sizeof(*ways))](v);
}

/* repeat - a second or third EKU extension: equal, another's, either of them mutated */
static void repeat(usage *u)
{
    if (u->count == REPEATS)
        return;
    u->values[u->count] = u->count > 0 && one_in(2) ? u->values[0] : *any_seed_value();
    if (one_in(2))
        mutate(&u->values[u->count]);
    u->count++;
}

static usage mutated_usage(void)
{
    usage u = seeds[below(seed_count)];

    for (int i = 0; i < u.count; i++)
        mutate(&u.values[i]);
    if (one_in(16))
        repeat(&u);
    if (one_in(8))
        u.critical = !u.critical;
    u.spoiled = one_in(64);
    return u;
}

/* any_flags - those that Python's ssl module sets, by default since 3.13
 *
 * With partial chains OpenSSL may trust a leaf that is an anchor although its extensions are
 * malformed, and leaves their errors on the queue.  Not for a spoiled certificate: OpenSSL's cache
 * then knows no EKU, so that the anchor's settings for clients apply where the rule's words mean
 * those for servers. */
static unsigned long any_flags(const usage *u)
{
    unsigned long flags = one_in(4) ? X509_V_FLAG_X509_STRICT : 0;

    return !u->spoiled && one_in(2) ? flags | X509_V_FLAG_PARTIAL_CHAIN : flags;
}

static circumstances any_circumstances(const usage *u)
{
    return (circumstances){
        .anchor = one_in(2) ? PLAIN : (enum setting)below(SETTINGS),
        .flags = any_flags(u),
        .prior = one_in(2),
        .outer_mark = one_in(2),
        .ask_first = one_in(2),
        .litter = one_in(2) ? 0 : (int)below(4),
    };
}

/* -- certificates -- */

/* read_usage - the EKU extensions of a certificate file */
static usage read_usage(const char *path)
{
    FILE *file = fopen(path, "rb");
    X509 *certificate = file == NULL ? NULL : d2i_X509_fp(file, NULL);
    usage u = {.count = 0};
    int at = -1;

    must(certificate != NULL, path);
    (void)fclose(file);
    while ((at = X509_get_ext_by_NID(certificate, NID_ext_key_usage, at)) >= 0) {
        const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(X509_get_ext(certificate, at));
        size_t size = (size_t)ASN1_STRING_length(data);
        value *v = &u.values[u.count++];

        must(u.count <= REPEATS && size <= VALUE_SIZE, "keep an extension that large");
        memcpy(v->octets, ASN1_STRING_get0_data(data), size);
        v->size = size;
        u.critical = X509_EXTENSION_get_critical(X509_get_ext(certificate, at)) != 0;
    }
    X509_free(certificate);
    return u;
}

static void add_extension(X509 *template, int nid, bool critical, const value *v)
{
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;

    must(data != NULL && ASN1_OCTET_STRING_set(data, v->octets, (int)v->size), "set octets");
    extension = X509_EXTENSION_create_by_NID(NULL, nid, critical, data);
    must(extension != NULL && X509_add_ext(template, extension, -1), "add an extension");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(data);
}

/* encode - the template with these extensions.  Its signature no longer fits, but nobody looks at
 * the one of a trust anchor. */
static int encode(X509 *template, const usage *u, unsigned char **der)
{
    static const value malformed = {.octets = {V_ASN1_NULL, 0}, .size = 2};
    int size;

    for (int i = 0; i < u->count; i++)
        add_extension(template, NID_ext_key_usage, u->critical, &u->values[i]);
    if (u->spoiled)
        add_extension(template, NID_basic_constraints, false, &malformed);
    must(i2d_re_X509_tbs(template, NULL) > 0, "encode anew");
    size = i2d_X509(template, der);
    must(size > 0, "encode a certificate");
    while (X509_get_ext_count(template) > 0)
        X509_EXTENSION_free(X509_delete_ext(template, 0));
    return size;
}

/* -- the two judges -- */

static void set_anchor(X509 *anchor, enum setting setting)
{
    switch (setting) {
    case TRUST_SERVER:
        must(X509_add1_trust_object(anchor, OBJ_nid2obj(NID_server_auth)), "trust");
        break;
    case TRUST_CLIENT:
        must(X509_add1_trust_object(anchor, OBJ_nid2obj(NID_client_auth)), "trust");
        break;
    case REJECT_SERVER:
        must(X509_add1_reject_object(anchor, OBJ_nid2obj(NID_server_auth)), "reject");
        break;
    case REJECT_CLIENT:
        must(X509_add1_reject_object(anchor, OBJ_nid2obj(NID_client_auth)), "reject");
        break;
    default:
        break;
    }
}

/* set_up - as libssl does in a server, except that leaf and anchor are one object, since decoding
 * is what takes the time.  Everything is new: nothing is cached in it yet. */
static void set_up(bench *b, const unsigned char *der, int size, const circumstances *c)
{
    b->leaf = d2i_X509(NULL, &der, size);
    b->store = X509_STORE_new();
    b->sc = X509_STORE_CTX_new();
    must(b->leaf != NULL && b->store != NULL && b->sc != NULL, "decode a certificate");
    set_anchor(b->leaf, c->anchor);
    must(X509_STORE_add_cert(b->store, b->leaf)
             && X509_STORE_CTX_init(b->sc, b->store, b->leaf, NULL)
             && X509_STORE_CTX_set_default(b->sc, "ssl_client"),
         "set up a verification");
    X509_STORE_CTX_set_flags(b->sc, c->flags);
}

static void tear_down(bench *b)
{
    X509_STORE_CTX_free(b->sc);
    X509_STORE_free(b->store);
    X509_free(b->leaf);
}

static judgement judgement_of(const X509_STORE_CTX *sc, bool server, bool trusted)
{
    return (judgement){
        .server = server,
        .trusted = trusted,
        .error = X509_STORE_CTX_get_error(sc),
        .depth = X509_STORE_CTX_get_error_depth(sc),
    };
}

/* rule_says_server - the rule's words: the EKU lists serverAuth and does not list clientAuth */
static bool rule_says_server(const X509 *leaf, enum decoded *decoded)
{
    bool server = false, client = false;
    int critical;
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(leaf, NID_ext_key_usage, &critical, NULL);

    *decoded = eku != NULL      ? DECODED
               : critical == -1 ? ABSENT
               : critical == -2 ? REPEATED
                                : UNDECODABLE;
    for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

        server |= nid == NID_server_auth;
        client |= nid == NID_client_auth;
    }
    EXTENDED_KEY_USAGE_free(eku);
    return server && !client;
}

static judgement judge_by_rule(const bench *b, enum decoded *decoded)
{
    bool server = rule_says_server(b->leaf, decoded);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(b->sc);
    bool trusted;

    if (server)
        must(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER)
                 && X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_SERVER),
             "set purpose and trust");
    trusted = X509_verify_cert(b->sc) > 0;
    ERR_clear_error();
    return judgement_of(b->sc, server, trusted);
}

/* litter - add entries to the error queue and change nothing, as OpenSSL does now and then */
static int litter(int ok, X509_STORE_CTX *sc)
{
    const circumstances *c = X509_STORE_CTX_get_app_data(sc);

    for (int i = 0; i < c->litter; i++)
        ERR_raise(ERR_LIB_USER, LITTER_REASON);
    return ok;
}

static judgement judge_by_ccert(const bench *b, ccert_context *context, circumstances *c)
{
    bool server = false, trusted;

    if (c->ask_first)
        server = ccert_lists_server_only(b->leaf);
    ERR_clear_error();
    if (c->prior) {
        ERR_raise(ERR_LIB_USER, PRIOR_REASON);
        if (c->outer_mark)
            (void)ERR_set_mark();
    }
    (void)X509_STORE_CTX_set_app_data(b->sc, c);
    X509_STORE_CTX_set_verify_cb(b->sc, litter);
    trusted = ccert_verify_callback(b->sc, context) > 0;
    if (!c->ask_first) {
        ERR_set_mark();
        server = ccert_lists_server_only(b->leaf);
        ERR_pop_to_mark();
    }
    return judgement_of(b->sc, server, trusted);
}

/* queue_fault - what is wrong with the error queue after the callback; NULL: nothing.  Empties it.
 *
 * Trusted: as it was.  Untrusted: what was there is still the oldest.  Either way every mark that
 * the callback has set is gone. */
static const char *queue_fault(const circumstances *c, bool trusted)
{
    int reason = c->prior ? PRIOR_REASON : 0;
    bool oldest = !c->prior || ERR_GET_REASON(ERR_peek_error()) == reason;
    bool only = ERR_GET_REASON(ERR_peek_error()) == reason
                && ERR_GET_REASON(ERR_peek_last_error()) == reason;
    bool marked = c->prior && c->outer_mark;
    bool kept = !marked || ERR_pop_to_mark(), left = ERR_pop_to_mark();

    ERR_clear_error();
    if (!oldest)
        return "an earlier entry is gone";
    if (trusted && !only)
        return "entries are left on the queue";
    if (!kept)
        return "somebody else's mark is gone";
    return left ? "a mark is left on the queue" : NULL;
}

/* -- comparison -- */

static void print_judgement(const char *who, const judgement *j)
{
    (void)printf("  %s: %s, %s, error %d at depth %d\n", who, j->server ? "server" : "client",
                 j->trusted ? "trusted" : "untrusted", j->error, j->depth);
}

static void report(const usage *u, const circumstances *c, const judgement *rule,
                   const judgement *ccert, const char *fault)
{
    (void)printf("disagreement: %s, anchor's setting %d, flags %lx, litter %d%s%s%s\n",
                 u->critical ? "critical" : "not critical", (int)c->anchor, c->flags, c->litter,
                 c->prior ? ", prior entry" : "", c->outer_mark ? ", outer mark" : "",
                 u->spoiled ? ", spoiled" : "");
    for (int i = 0; i < u->count; i++) {
        (void)printf("  EKU: ");
        for (size_t k = 0; k < u->values[i].size; k++)
            (void)printf("%02x", u->values[i].octets[k]);
        (void)printf("\n");
    }
    print_judgement("rule", rule);
    print_judgement("ccert", ccert);
    if (fault != NULL)
        (void)printf("  queue: %s\n", fault);
}

/* agree - in all; but of a spoiled certificate, which is refused whoever asks, OpenSSL's cache does
 * not tell what its EKU lists */
static bool agree(const usage *u, const judgement *rule, const judgement *ccert)
{
    return (u->spoiled || rule->server == ccert->server) && rule->trusted == ccert->trusted
           && rule->error == ccert->error && rule->depth == ccert->depth;
}

static void try_usage(X509 *template, ccert_context *context, const usage *u, circumstances *c,
                      tally *t)
{
    unsigned char *der = NULL;
    int size = encode(template, u, &der);
    enum decoded decoded;
    judgement rule, ccert;
    const char *fault;
    bench b;

    set_up(&b, der, size, c);
    rule = judge_by_rule(&b, &decoded);
    tear_down(&b);
    set_up(&b, der, size, c);
    ccert = judge_by_ccert(&b, context, c);
    tear_down(&b);
    OPENSSL_free(der);
    fault = queue_fault(c, ccert.trusted);

    t->encodings++;
    t->server += rule.server;
    t->trusted += rule.trusted;
    t->trusted_as_server += rule.trusted && rule.server;
    t->undecodable += decoded == UNDECODABLE;
    t->repeated += decoded == REPEATED;
    if (agree(u, &rule, &ccert) && fault == NULL)
        return;
    if (t->disagreements++ < REPORTS)
        report(u, c, &rule, &ccert, fault);
}

/* try_seeds - the certificates' own encodings, with every setting of the anchor */
static void try_seeds(X509 *template, ccert_context *context, tally *t)
{
    for (size_t i = 0; i < seed_count; i++)
        for (int setting = 0; setting < SETTINGS; setting++) {
            circumstances c = any_circumstances(&seeds[i]);

            c.anchor = (enum setting)setting;
            try_usage(template, context, &seeds[i], &c, t);
        }
}

static bool counters_agree(ccert_context *context, const tally *t)
{
    return atomic_load(&context->verified) == t->encodings
           && atomic_load(&context->trusted) == t->trusted
           && atomic_load(&context->untrusted) == t->encodings - t->trusted
           && atomic_load(&context->trusted_as_server) == t->trusted_as_server;
}

int main(int argc, char **argv)
{
    ccert_policy policy = {.trust_server_ccerts = true};
    ccert_context context = {.policy = &policy};
    tally t = {0};
    X509 *template = new_template();
    size_t wanted;

    must(template != NULL, "make a certificate");
    must(argc > 3 && argc - 3 <= SEEDS, "run without COUNT, SEED and CERTIFICATE...");
    wanted = strtoul(argv[1], NULL, 10);
    seed_random(strtoull(argv[2], NULL, 10));
    for (int i = 3; i < argc; i++)
        seeds[seed_count++] = read_usage(argv[i]);

    try_seeds(template, &context, &t);
    while (t.encodings < wanted) {
        usage u = mutated_usage();
        circumstances c = any_circumstances(&u);

        try_usage(template, &context, &u, &c, &t);
    }
    X509_free(template);
    if (!counters_agree(&context, &t)) {
        (void)printf("the counters disagree\n");
        t.disagreements++;
    }
    (void)printf("decision: %zu encodings, %zu as server, %zu trusted, %zu undecodable, "
                 "%zu repeated, %zu disagreements\n",
                 t.encodings, t.server, t.trusted, t.undecodable, t.repeated, t.disagreements);
    return t.disagreements > 0;
}
