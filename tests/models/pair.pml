/*
 * Election, demotion and merging of a pair of agents, with two proxies: every order of everything, for Spin.
 *
 * What is modelled, after authagent/core (election.py, duty.py, replication.py) and proxyagent/core:
 *
 * - Two agents with a role, a term on disk and a table on disk; one link between them, in order and without loss but
 *   of its end. Whoever starts or has lost its master looks for its partner and serves when it cannot be reached.
 *   Heartbeats decide who follows whom; of two masters the one with the lesser (term, lower id) compares, stops
 *   acknowledging, sends a fence behind all it has, and demotes when the fence is acknowledged.
 * - Two proxies, each a full copy. Proxy 0 mints a login; either may end it once it knows it. A proxy exchanges what it
 *   has with any agent that serves.
 * - A table is the State of that one login, and merging is the greater one: 0 absent, 1 alive, 2 ended. Records merge
 *   one by one (tests/laws), so what holds of one holds of many.
 * - Faults, FAULTS of them at any moment: the link is cut, an agent is killed with or without its disk, a proxy is
 *   killed. At any moment after which there are no more of them, everything is healed and started.
 *
 * What is left out, so that these are not proven here: time (an agent gives up only on a partner that cannot be
 * reached just then: no false suspicion of a slow one), being unsure after a pause, digests and cursors (a comparison
 * is one exchange of whole tables), commits (a store writes at once), barriers, expiry and
 * supersession, a redirect's way. The simulation, the small scope (tests/smallscope) and tests/laws play the machines
 * themselves.
 *
 * What is checked: the assertions below in every state, no unexpected end, and with -DLTL that whatever happened, all
 * settles once it is healed. The mistakes behind
 * -DDISCARD, -DNO_FENCE, -DLAST_WRITER and -DNO_YIELD must be found; tests/models/test_pair.py does both.
 */

#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef AHEAD
#define AHEAD 1               /* so many words may be on their way unasked */
#endif

mtype = { DOWN, STARTING, SEEKING, SLAVE, MASTER };      /* roles; SEEKING says SLAVE, as election.py's `said` */
mtype = { HELLO, COMPARE, COMPARED, UPDATE, FENCE, FENCED };

mtype role[2] = DOWN;
byte term[2];                 /* of the own mastership, or of the master followed */
byte seen[2];                 /* the greatest term seen; on disk */
byte held[2];                 /* the agents' tables, which are on disk */
byte copy[2];                 /* the proxies' */
bool minted;

chan to[2] = [5] of { mtype, mtype, byte, byte };  /* kind, role, term, state */
bool linked, cut;
bool lost[2];                 /* the agent has not noticed yet that its link is gone */
bool greets[2];               /* it has something new to say of itself */
bool dirty[2];                /* it has changes that its partner has not been sent */
bool complete[2];             /* it has compared with its partner on this link */
bool yielding[2];

byte faults = FAULTS;
bool healed;

/* ghosts: what was acknowledged at level site, and which agents that counted keep their disks since */
byte promised;
byte counted;

#define other(me) (1 - (me))
#define reachable (!cut && role[0] != DOWN && role[1] != DOWN && !lost[0] && !lost[1])
#define serves(me) (role[me] == MASTER)
#define loses(me) (seen[me] >= term[me] && (partner_term > term[me] || (partner_term == term[me] && me == 1)))

/* At level site: the own store, and the slave's where one counts, have it. */
#define slave_counts(me) (linked && role[other(me)] == SLAVE && complete[other(me)])
#define counting(me) (slave_counts(me) -> 3 : 1 << (me))
#define promises(me) (held[me] > promised && (!slave_counts(me) || held[other(me)] >= held[me]))

inline raise(table, value) {
#ifdef LAST_WRITER
	if
	:: value > 0 -> table = value
	:: else
	fi
#else
	if
	:: value > table -> table = value
	:: else
	fi
#endif
}

/* An agent takes in what a message or a proxy says; what is news goes on to its partner. */
inline take(me, state) {
	before = held[me];
	raise(held[me], state);
	if
	:: linked && before != held[me] -> dirty[me] = true
	:: else
	fi;
	assert(held[me] >= before)   /* no logout is undone */
}

inline say(me, kind) {
	to[other(me)] ! kind, (role[me] == SEEKING -> SLAVE : role[me]), term[me], held[me]
}

inline promote(me) {
	seen[me] = (seen[me] > term[me] -> seen[me] : term[me]) + 1;
	term[me] = seen[me];
	role[me] = MASTER;
	yielding[me] = false;
	greets[me] = linked
}

inline follow(me) {
	role[me] = SLAVE;
	term[me] = seen[me];
	yielding[me] = false;
	complete[me] = false;
	greets[me] = true
}

/* A master that has given everything becomes slave of the other. */
inline demote(me) {
#ifndef LAST_WRITER
	assert(promised <= held[other(me)] || !(counted & (1 << me)));   /* never demote before merging */
#endif
	role[me] = SLAVE;
	term[me] = seen[me];
	yielding[me] = false;
	greets[me] = true
}

inline end_link() {
	linked = false;
	do
	:: nempty(to[0]) -> to[0] ? _, _, _, _
	:: empty(to[0]) -> break
	od;
	do
	:: nempty(to[1]) -> to[1] ? _, _, _, _
	:: empty(to[1]) -> break
	od
}

/* What one agent makes of its partner's word (Election.partner_heard, Duty.heartbeat). */
inline hear(me) {
	seen[me] = (partner_term > seen[me] -> partner_term : seen[me]);
	if
	:: (role[me] == STARTING || role[me] == SEEKING || role[me] == SLAVE) && partner_role == MASTER ->
		if
		:: role[me] != SLAVE || !complete[me] -> follow(me); say(me, COMPARE)
		:: else -> term[me] = seen[me]
		fi
	:: role[me] == STARTING && partner_role == STARTING && me == 0 -> promote(me)
	:: (role[me] == SEEKING || role[me] == SLAVE) && partner_role == SLAVE && me == 0 -> promote(me)
	:: (role[me] == SEEKING || role[me] == SLAVE) && partner_role == STARTING -> promote(me)
	:: role[me] == MASTER && partner_role == MASTER && loses(me) && !yielding[me] ->
#ifdef DISCARD
		held[me] = state;
		follow(me); say(me, COMPARE)
#else
#ifdef NO_FENCE
		demote(me); say(me, COMPARE)
#else
#ifndef NO_YIELD
		say(me, COMPARE)
#else
		skip
#endif
#endif
#endif
	:: else
	fi
}

proctype Agent(byte me) {
	mtype kind, partner_role;
	byte partner_term, state, before;
end:	do
	/* looking for the partner */
	:: d_step { role[me] != DOWN && role[me] != SLAVE && !lost[me] && !linked && reachable ->
		linked = true; greets[0] = true; greets[1] = true; dirty[0] = false; dirty[1] = false;
		complete[0] = false; complete[1] = false }
	:: d_step { (role[me] == STARTING || role[me] == SEEKING) && !lost[me] && (cut || role[other(me)] == DOWN) ->
		promote(me) }
	:: d_step { lost[me] ->
		lost[me] = false; yielding[me] = false; complete[me] = false; dirty[me] = false; greets[me] = false;
		if
		:: role[me] == SLAVE -> role[me] = SEEKING
		:: else
		fi }
	/* speaking */
	:: atomic { linked && greets[me] && len(to[other(me)]) < AHEAD -> greets[me] = false; say(me, HELLO) }
	:: atomic { linked && dirty[me] && !greets[me] && len(to[other(me)]) < AHEAD -> dirty[me] = false; say(me, UPDATE) }
	/* listening */
	:: atomic { linked && nempty(to[me]) && nfull(to[other(me)]) ->
		to[me] ? kind, partner_role, partner_term, state;
		if
		:: kind == HELLO -> hear(me)
		:: kind == COMPARE -> take(me, state); dirty[me] = false; say(me, COMPARED)
		:: kind == COMPARED ->
			take(me, state);
			complete[me] = true;
			if
			:: role[me] == MASTER && loses(me) -> yielding[me] = true; dirty[me] = false; say(me, FENCE)
			:: else
			fi
		:: kind == UPDATE -> take(me, state)
		:: kind == FENCE -> take(me, state); say(me, FENCED)
		:: kind == FENCED && yielding[me] -> demote(me)
		:: else
		fi;
		assert(held[me] >= promised || !(counted & (1 << me)));   /* who counted still has it */
		kind = 0; partner_role = 0; partner_term = 0; state = 0; before = 0 }
	/* acknowledging at level site what nobody was promised yet (Service.acknowledge, Ledger.settle) */
	:: d_step { serves(me) && !yielding[me] && promises(me) -> promised = held[me]; counted = counting(me) }
	od
}

inline exchange(me, agent) {
	take(agent, copy[me]);
	raise(copy[me], held[agent]);
	before = 0
}

proctype Proxy(byte me) {
	byte before;
end:	do
	:: d_step { me == 0 && !minted && !healed -> minted = true; copy[0] = 1 }
	:: d_step { copy[me] == 1 && !healed -> copy[me] = 2 }
	:: d_step { serves(0) && copy[me] != held[0] -> exchange(me, 0) }
	:: d_step { serves(1) && copy[me] != held[1] -> exchange(me, 1) }
	od
}

inline kill(victim, disk) {
	role[victim] = DOWN;
	if
	:: linked -> end_link(); lost[other(victim)] = true
	:: else
	fi;
	lost[victim] = false; yielding[victim] = false; complete[victim] = false; dirty[victim] = false;
	greets[victim] = false;
	term[victim] = 0;
	if
	:: disk -> held[victim] = 0; seen[victim] = 0; counted = counted & ~(1 << victim)
	:: else
	fi
}

inline start(who) {
	if
	:: role[who] == DOWN -> role[who] = STARTING; term[who] = seen[who]
	:: else
	fi
}

#define settled ((role[0] == MASTER && role[1] == SLAVE || role[0] == SLAVE && role[1] == MASTER) && \
	held[0] == held[1] && held[0] == copy[0] && held[0] == copy[1])

proctype World() {
end:	do
	:: d_step { !healed && faults > 0 && !cut -> faults--; cut = true;
		if
		:: linked -> end_link(); lost[0] = true; lost[1] = true
		:: else
		fi }
	:: d_step { !healed && cut -> cut = false }
	:: d_step { !healed && faults > 0 && role[0] != DOWN -> faults--; kill(0, false) }
	:: d_step { !healed && faults > 0 && role[1] != DOWN -> faults--; kill(1, false) }
	:: d_step { !healed && faults > 0 && role[0] != DOWN -> faults--; kill(0, true) }
	:: d_step { !healed && faults > 0 && role[1] != DOWN -> faults--; kill(1, true) }
	:: d_step { !healed && role[0] == DOWN -> start(0) }
	:: d_step { !healed && role[1] == DOWN -> start(1) }
	:: d_step { !healed && faults > 0 -> faults--; copy[0] = 0 }
	:: d_step { !healed && faults > 0 -> faults--; copy[1] = 0 }
	:: d_step { !healed -> healed = true; cut = false; start(0); start(1) }
	:: timeout ->   /* nobody has anything to do: all is settled */
		assert(healed);
		assert(settled);
		assert(held[0] >= promised || counted == 0);   /* nothing acknowledged is lost while a disk has it */
		break
	od
}

init {
	atomic { run Agent(0); run Agent(1); run Proxy(0); run Proxy(1); run World() }
}

#ifdef LTL
ltl settles { [] (healed -> <> settled) }
#endif
