/*
 * One resource that may be active at one place only: command, executor, fence, lease (docs/decisions/004, README.md here).
 *
 * A resource lives at site 0; its owner moves it to site 1, or rescues it there because site 0 is said to be dead, rightly
 * or not. Commands and answers may be late without end, come in any order, often or never; executors crash and come back
 * with their store; a copy goes on while its executor is down. Clocks differ by up to SKEW. The owner is its row: that it
 * survives workers is the matter of journal.pml. Nothing is sent that is not history.
 *
 * One rule is broken by each of: NO_WAIT, NO_FENCE, TIMEOUT_IS_FAILURE, EXPIRED_FIRST, LEASE_BY_EXECUTOR.
 */

#ifndef HORIZON
#define HORIZON 8   /* where time ends */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define SKEW 1
#define LEASE 2
#define DEADLINE 1
#define COMMANDS 6
#define NEVER 250

mtype = { ACTIVATE, FREEZE, DISCARD, RENEW };
mtype = { UNSEEN, ACCEPTED, INTENDED, APPLIED, DONE };
mtype = { NONE, SUCCEEDED, FAILED, REJECTED, EXPIRED, SUPERSEDED };
mtype = { ABSENT, ACTIVE, FROZEN, PARKED };

typedef Command { mtype action; byte site; byte revision; byte lease; byte start_by; mtype phase; mtype result };

Command c[COMMANDS];
byte issued = 0;
byte revision = 1;
byte now = 0;
mtype copy[2];
byte lease[2];          /* until when the copy may be active */
byte sent_lease[2];     /* the latest lease that the owner ever sent to a site */
byte fence[2];          /* the newest revision that the executor accepted */
bool is_down[2];
bool is_over = false;   /* the owner's procedure has ended */
byte crashes = CRASHES;

#define IS_LATE(x) (c[x].start_by < now)
#define SURELY_LATE(x) (c[x].start_by + SKEW < now)
#ifdef NO_FENCE
#define STALE(x) false
#else
#define STALE(x) (c[x].revision < fence[me])
#endif

/* Each command has one end, however often it is told, and only an executor gives it. */
inline finish(x, state) {
    printf("site %d: %e (revision %d) is %e\n", me, c[x].action, c[x].revision, state);
    assert(c[x].result == NONE || c[x].result == state);
    c[x].phase = DONE; c[x].result = state
}

inline apply(x) {
    printf("site %d: applies %e (revision %d)\n", me, c[x].action, c[x].revision);
    if
    :: c[x].action == FREEZE && copy[me] == ACTIVE -> copy[me] = FROZEN
    :: c[x].action == DISCARD -> copy[me] = ABSENT
    :: c[x].action == ACTIVATE || c[x].action == RENEW && copy[me] != ABSENT ->
        lease[me] = c[x].lease;
        if :: now <= lease[me] + SKEW -> copy[me] = ACTIVE :: else -> copy[me] = PARKED fi
    :: else
    fi;
    assert(!(copy[0] == ACTIVE && copy[1] == ACTIVE));
    c[x].phase = APPLIED
}

/* Whether what was ordered is what is there. */
#define HOLDS(x) (c[x].action == FREEZE && copy[me] == FROZEN || c[x].action == DISCARD && copy[me] == ABSENT || \
    (c[x].action == ACTIVATE || c[x].action == RENEW) && copy[me] == ACTIVE && lease[me] == c[x].lease)
#define IS_BUSY (c[0].site == me && (c[0].phase == INTENDED || c[0].phase == APPLIED) || \
    c[1].site == me && (c[1].phase == INTENDED || c[1].phase == APPLIED) || \
    c[2].site == me && (c[2].phase == INTENDED || c[2].phase == APPLIED) || \
    c[3].site == me && (c[3].phase == INTENDED || c[3].phase == APPLIED) || \
    c[4].site == me && (c[4].phase == INTENDED || c[4].phase == APPLIED) || \
    c[5].site == me && (c[5].phase == INTENDED || c[5].phase == APPLIED))

/* The checks in their order (CONTRACTS 5): seen, expired, fence. A known id is only answered again. */
inline take(x) {
    if
    :: IS_LATE(x) -> finish(x, EXPIRED)
    :: !SURELY_LATE(x) && STALE(x) -> finish(x, REJECTED)
    :: !SURELY_LATE(x) && !STALE(x) -> c[x].phase = ACCEPTED; fence[me] = c[x].revision
    fi
}

/* Fence and time are looked at again when it is its turn; the intent is durable before anything is touched. */
inline begin(x) {
    if
    :: STALE(x) -> finish(x, SUPERSEDED)
    :: !STALE(x) && IS_LATE(x) -> finish(x, EXPIRED)
    :: !STALE(x) && !SURELY_LATE(x) -> c[x].phase = INTENDED
    fi
}

/* Begun by this boot, or by an earlier one that died before it wrote the result: look first. */
inline carry_out(x) {
    if
    :: HOLDS(x) -> finish(x, SUCCEEDED)
    :: !HOLDS(x) && STALE(x) -> finish(x, SUPERSEDED)
    :: !HOLDS(x) && !STALE(x) && IS_LATE(x) -> finish(x, FAILED)
    :: !HOLDS(x) && !STALE(x) -> apply(x)
    fi
}

inline report(x) {
    if :: HOLDS(x) -> finish(x, SUCCEEDED) :: else -> finish(x, FAILED) fi
}

#define IS_HERE(x) (x < issued && c[x].site == me && !is_down[me])
#ifdef EXPIRED_FIRST
#define CAN_DO(x) (IS_HERE(x) && (c[x].phase != ACCEPTED || !IS_BUSY) && (c[x].phase != DONE || IS_LATE(x)))
#else
#define CAN_DO(x) (IS_HERE(x) && (c[x].phase != ACCEPTED || !IS_BUSY) && c[x].phase != DONE)
#endif

inline advance(x) {
    if
    :: c[x].phase == UNSEEN -> take(x)
    :: c[x].phase == ACCEPTED -> begin(x)
    :: c[x].phase == INTENDED -> carry_out(x)
    :: c[x].phase == APPLIED -> report(x)
#ifdef EXPIRED_FIRST
    :: c[x].phase != UNSEEN && IS_LATE(x) -> finish(x, EXPIRED)     /* asked again, too late */
#endif
    fi
}

proctype Executor(byte me) {
    byte i;
    do
    :: atomic { CAN_DO(0) -> advance(0) }
    :: atomic { CAN_DO(1) -> advance(1) }
    :: atomic { CAN_DO(2) -> advance(2) }
    :: atomic { CAN_DO(3) -> advance(3) }
    :: atomic { CAN_DO(4) -> advance(4) }
    :: atomic { CAN_DO(5) -> advance(5) }
    :: d_step { crashes > 0 && !is_down[me] ->      /* what it was about to say is forgotten, its store is not */
        crashes--; is_down[me] = true;
        do
        :: i < COMMANDS -> if :: c[i].site == me && c[i].phase == APPLIED -> c[i].phase = INTENDED :: else fi; i++
        :: else -> break
        od;
        i = 0; printf("site %d: the executor crashes\n", me) }
    :: d_step { is_down[me] -> is_down[me] = false; printf("site %d: the executor is back\n", me) }
    od
}

/* The lease ends where the state is: the copy stops itself, by a clock that may be wrong by SKEW. */
proctype Copy(byte me) {
    do
#ifdef LEASE_BY_EXECUTOR
    :: d_step { copy[me] == ACTIVE && now + SKEW >= lease[me] && !is_down[me] -> copy[me] = PARKED;
#else
    :: d_step { copy[me] == ACTIVE && now + SKEW >= lease[me] -> copy[me] = PARKED;
#endif
        printf("site %d: the lease ends, the copy parks\n", me) }
    od
}

#ifdef LEASE_BY_EXECUTOR
#define OVERDUE(s) (copy[s] == ACTIVE && now >= lease[s] + SKEW && !is_down[s])
#else
#define OVERDUE(s) (copy[s] == ACTIVE && now >= lease[s] + SKEW)
#endif

proctype Clock() {
    do
    :: d_step { now < HORIZON && !OVERDUE(0) && !OVERDUE(1) -> now++; printf("  %d o'clock\n", now) }
    od
}

inline order(what, where, until, latest) {
    d_step {
        revision++;
        c[issued].action = what; c[issued].site = where; c[issued].revision = revision; c[issued].lease = until;
        c[issued].start_by = latest; c[issued].phase = UNSEEN; c[issued].result = NONE;
        printf("owner: %e to site %d, revision %d, lease until %d, start by %d\n", what, where, revision, until, latest);
        if :: until > sent_lease[where] -> sent_lease[where] = until :: else fi;
        asked = issued; issued++
    }
}

#define ANSWER(x) (c[x].result)
#define MOOT(s, x) (now > sent_lease[s] + SKEW && now > c[x].start_by + SKEW)

proctype Owner() {
    byte asked, activated;

    if
    :: order(RENEW, 0, now + LEASE, NEVER)      /* it may come much later than what follows */
    :: skip
    fi;
    if
    :: goto move
    :: printf("owner: site 0 is said to be dead\n"); goto rescue
    fi;

move:
    order(FREEZE, 0, 0, now + DEADLINE);
    if
    :: ANSWER(asked) == SUCCEEDED -> goto activate
    :: ANSWER(asked) != SUCCEEDED && ANSWER(asked) != NONE -> goto thaw
    :: now > c[asked].start_by -> goto thaw              /* unknown: undo it */
    :: printf("owner: site 0 is said to be dead\n"); goto rescue
    fi;

activate:
    order(ACTIVATE, 1, now + LEASE, now + DEADLINE); activated = asked;
    if
    :: ANSWER(activated) == SUCCEEDED -> goto moved
    :: ANSWER(activated) != SUCCEEDED && ANSWER(activated) != NONE -> goto discard
    :: now > c[activated].start_by ->
#ifdef TIMEOUT_IS_FAILURE
        goto thaw
#else
        goto discard                                    /* unknown: neither done nor failed */
#endif
    fi;

discard:
    order(DISCARD, 1, 0, NEVER);
    if
    :: ANSWER(asked) == SUCCEEDED -> goto thaw
    :: MOOT(1, activated) -> goto thaw
    fi;

rescue:
#ifndef NO_WAIT
    now > sent_lease[0] + SKEW;                         /* the last lease ever sent has ended by every clock */
#endif
    order(ACTIVATE, 1, now + LEASE, now + DEADLINE);
    goto over;                                          /* asked again, with a new id, until it holds */

moved:
    order(DISCARD, 0, 0, NEVER);
    goto over;

thaw:
    order(RENEW, 0, now + LEASE, NEVER);
over:
    is_over = true
}

/* Nothing moves any more. */
proctype Judge() {
    byte x;
    timeout ->
    d_step {
        assert(is_over || now == HORIZON);
        do
        :: x < issued -> assert(c[x].phase == DONE && c[x].result != NONE); x++     /* one end each, none is forgotten */
        :: else -> break
        od;
        x = 0
    }
}

init {
    atomic {
        copy[0] = ACTIVE; copy[1] = ABSENT; lease[0] = LEASE; sent_lease[0] = LEASE; fence[0] = 1;
        run Executor(0); run Executor(1); run Copy(0); run Copy(1);
        run Clock(); run Owner(); run Judge()
    }
}
