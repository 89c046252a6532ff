/*
 * The journal of one partition: fence, continuity, outbox, release (docs/decisions/003, and README.md beside this file).
 *
 * A life is a worker with one pair of producers. It dies when its process is killed or when it gives its producers up;
 * what it had sent may still arrive, in order, up to any point. A frozen life is one that the scheduler passes over.
 * One event = one change of a row, one frame, one output. What folding makes of an event may differ from owner to owner
 * (views and time differ), so an output is told by its place and by the epoch in which it was folded.
 * The log is not kept: what readers would believe is folded as batches are appended, since a batch counts if and only if
 * its epoch is that of the latest FENCE before it; what a taker reads up to its own FENCE is what is believed then.
 *
 * One rule is broken by each of: EARLY_RELEASE, IGNORE_GAP, SPLIT_POSITION, NO_RETAKE, READ_BEFORE_FENCE, NO_WATERMARK.
 */

#ifndef LIVES
#define LIVES 3
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef MOVES
#define MOVES 2     /* how often the group takes the partition from one that lives */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#define ON_THE_WAY 2

mtype = { FENCE, FRAME, ROWS, MARK };

typedef History { byte row; byte mark; byte gone; byte folded[EVENTS] };

/* What a reader of the whole journal believes: rows, position, outbox (from `gone` to `mark`). Epochs are counted. */
History h;
byte fence = 0;
History told[LIVES];            /* the same up to a life's own FENCE */

chan wire[LIVES] = [4] of { mtype, byte, byte, byte, byte };
chan ack[LIVES] = [4] of { mtype, byte, bool };      /* what, its mark (a FENCE: its epoch), a FENCE stands before it */
chan out[LIVES] = [EVENTS] of { byte, byte };
byte acked[LIVES];              /* outputs below this are known to their life to have arrived */
bool dead[LIVES];
byte group = 0;                 /* whom the consumer group calls the owner */
bool begun = false;
#ifdef NO_RETAKE
byte generation = 1;           /* of the group: the naive owner waits for another one */
#endif
byte moves = MOVES;
byte deaths = DEATHS;
byte seen = 0;                  /* the receiver's high-water mark */

inline keep(to, from) {
    to.row = from.row; to.mark = from.mark; to.gone = from.gone; i = 0;
    do :: i < EVENTS -> to.folded[i] = from.folded[i]; i++ :: else -> break od;
    i = 0
}

inline append(who) {
    wire[who]?kind, epoch, mark, row, gone;
    printf("  broker: %e of life %d is appended\n", kind, who);
    if
    :: kind == FENCE -> fence++; keep(told[who], h)
    :: kind != FENCE && epoch == fence ->
        if :: kind != MARK -> h.row = row :: else fi;
        if :: kind != ROWS -> h.mark = mark; h.gone = gone; h.folded[mark - 1] = fence :: else fi
    :: else -> printf("    it is void\n")
    fi;
    if
    :: !dead[who] && kind == FENCE -> ack[who]!FENCE, fence, false
    :: !dead[who] && kind != FENCE -> ack[who]!kind, mark, (epoch != fence)
    :: else
    fi;
    kind = 0; epoch = 0; mark = 0; row = 0; gone = 0
}

inline lose(who) {
    len(wire[who]) > 0 && dead[who];
    do
    :: len(wire[who]) > 0 -> wire[who]?kind, epoch, mark, row, gone
    :: else -> break
    od;
    printf("  broker: what life %d had on the way is lost\n", who);
    kind = 0; epoch = 0; mark = 0; row = 0; gone = 0
}

/* Late, but in order; what a dead life had on the way may be lost from any point on. */
active proctype Broker() {
    mtype kind; byte epoch, mark, row, gone, i;
    do
    :: d_step { len(wire[0]) > 0; append(0) }
    :: d_step { len(wire[1]) > 0; append(1) }
    :: d_step { lose(0) }
    :: d_step { lose(1) }
#if LIVES > 2
    :: d_step { len(wire[2]) > 0; append(2) }
    :: d_step { lose(2) }
#endif
    od
}

/* The executor's side: one high-water mark for this partition drops every copy. */
inline receive(who) {
    out[who]?seq, epoch;
    if
#ifndef NO_WATERMARK
    :: seq < seen -> printf("  receiver: a copy of output %d is dropped\n", seq)
#endif
    :: else ->
        printf("  receiver: output %d, folded in epoch %d, takes effect\n", seq, epoch);
        assert(seq == seen);                                /* none is missing, none comes twice */
        assert(seq < h.mark && h.folded[seq] == epoch);     /* no phantom: it is history */
        seen = seq + 1
    fi;
    if :: !dead[who] -> acked[who] = seq + 1 :: else fi;
    seq = 0; epoch = 0
}

active proctype Receiver() {
    byte seq, epoch;
    do
    :: d_step { len(out[0]) > 0; receive(0) }
    :: d_step { len(out[1]) > 0; receive(1) }
#if LIVES > 2
    :: d_step { len(out[2]) > 0; receive(2) }
#endif
    od
}

inline give_to(who) {
    who != group && !dead[who] && (dead[group] || moves > 0) && (begun || who < 2);
    if :: dead[group] :: else -> moves-- fi;
    group = who; begun = true;
#ifdef NO_RETAKE
    generation++;
#endif
    printf("  group: the partition is life %d's\n", who)
}

/* The consumer group deposes the living a few times, the dead always; nobody hears of it before it looks. */
active proctype Group() {
    do
    :: d_step { give_to(0) }
    :: d_step { give_to(1) }
#if LIVES > 2
    :: d_step { give_to(2) }
#endif
    od
}

inline fold_next() {
    mine.row++; mine.mark++; mine.folded[mine.mark - 1] = epoch; flying++;
    printf("life %d: folds event %d in epoch %d and sends its frame\n", me, mine.mark - 1, epoch);
#ifdef SPLIT_POSITION
    wire[me]!ROWS, epoch, mine.mark, mine.row, acked[me];
    wire[me]!MARK, epoch, mine.mark, mine.row, acked[me];
    flying++
#else
    wire[me]!FRAME, epoch, mine.mark, mine.row, acked[me]
#endif
}

inline acknowledged() {
    ack[me]?kind, mark, is_fenced; flying--;
#ifdef IGNORE_GAP
    is_fenced = false;
#endif
    if
    :: is_fenced -> printf("life %d: a FENCE stands where its frame should\n", me)
    :: !is_fenced && kind != ROWS -> history = mark; printf("life %d: event %d is history\n", me, mark - 1)
    :: else
    fi;
    kind = 0; mark = 0
}

inline die() { deaths > 0; deaths--; dead[me] = true; goto died }

proctype Life(byte me) {
    History mine; byte epoch, history, sent, flying, mark, i; mtype kind; bool is_fenced;
#ifdef NO_RETAKE
    byte generation_seen;
#endif

idle:
    if
    :: d_step { flying > 0 && len(ack[me]) > 0; ack[me]?kind, mark, is_fenced; flying--; kind = 0; mark = 0;
                is_fenced = false }; goto idle               /* of an ownership that is over */
#ifdef NO_RETAKE
    :: d_step { group == me && flying == 0 && generation != generation_seen; generation_seen = generation }
#else
    :: group == me && flying == 0
#endif
    fi;

#ifdef READ_BEFORE_FENCE
    d_step { keep(mine, h) };
#endif
    d_step { printf("life %d: sends a FENCE\n", me); wire[me]!FENCE, 0, 0, 0, 0 };
    if
    :: ack[me]?FENCE, epoch, _
    :: atomic { die() }
    fi;
    d_step {
#ifndef READ_BEFORE_FENCE
        keep(mine, told[me]);
#endif
        told[me].row = 0; told[me].mark = 0; told[me].gone = 0;
        do :: i < EVENTS -> told[me].folded[i] = 0; i++ :: else -> break od;
        i = 0; history = mine.mark; sent = mine.gone; acked[me] = mine.gone;
        printf("life %d: owns it, epoch %d, %d folded, the row says %d\n", me, epoch, mine.mark, mine.row)
    };

    do
    :: d_step { mine.mark < EVENTS && flying < ON_THE_WAY; fold_next() }
    :: d_step { len(ack[me]) > 0; acknowledged() };
       if :: is_fenced -> goto dropped :: else fi
#ifdef EARLY_RELEASE
    :: d_step { sent < mine.mark && len(out[me]) < EVENTS; out[me]!sent, mine.folded[sent]; sent++ }
#else
    :: d_step { sent < history && len(out[me]) < EVENTS; out[me]!sent, mine.folded[sent]; sent++ }
#endif
    :: group != me -> goto dropped
    :: atomic { die() }
    od;

dropped:
    atomic {
        printf("life %d: drops the partition\n", me);
        mine.row = 0; mine.mark = 0; mine.gone = 0; epoch = 0; history = 0; sent = 0; is_fenced = false;
        do :: i < EVENTS -> mine.folded[i] = 0; i++ :: else -> break od;
        i = 0
    };
    goto idle;
died:
    atomic {
        printf("life %d: dies\n", me);
        do :: len(ack[me]) > 0 -> ack[me]?kind, mark, is_fenced :: else -> break od;
        acked[me] = 0
    }
}

/* Nothing moves any more: every event is folded once and every output took effect. */
active proctype Judge() {
    timeout ->
    d_step {
        printf("  at the end: %d events folded, the row says %d, %d effects\n", h.mark, h.row, seen);
        assert(h.mark == EVENTS);   /* the partition was served */
        assert(h.row == EVENTS);    /* each event changed the row once */
        assert(seen == EVENTS)      /* every output took effect */
    }
}

init {
    atomic {
        run Life(0); run Life(1);
#if LIVES > 2
        run Life(2)
#endif
    }
}
