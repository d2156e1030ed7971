/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * word.pml - the word of a blocking region: the protocol of libclient/threads/region.c, with handlers that
 * interrupt it anywhere
 *
 * Asks one question: when the agent reads the stack of a thread that it takes for blocked, does it read all that
 * the thread holds?  The thread's own frame is 1, that of a handler which interrupts it is 2; what is read from
 * frame 2 up has both.  A handler that has entered the library holds an object in its frame.
 */

#define RUNNING 0
#define BLOCKED 1
#define HELD 2

byte state = RUNNING;		/* t->blocked: the state, and the number of regions */
byte count;
bit flag;			/* the region's byte of tri__tls.barrier */
byte saved;			/* the frame that is saved: where the agent begins to read */

bit in_handler;
bit holds;			/* the handler holds an object */
bit reach;			/* the agent reads all */
byte at;			/* of the thread's own code */
#define TOP 0
#define NEXT count = (count + 1) % 4

/* End the region that is found.  Waits while HELD. */
#define END_REGION							\
	if								\
	:: flag ->							\
		atomic { state != HELD -> state = RUNNING; NEXT };	\
		flag = 0						\
	:: else								\
	fi

/* The thread: begin a region, block, end it, again and again. */
proctype Thread()
{
	byte seen;

end:
	do
	:: atomic { !in_handler && at == TOP && !flag -> at = 1 }
	/* A jump has left one. */
	:: atomic { !in_handler && at == TOP && flag -> at = 6 }
	:: atomic { !in_handler && at == 1 -> seen = count; at = 2 }
#ifdef MUTANT_FLAG_LATE
	:: atomic { !in_handler && at == 2 -> at = 3 }
#else
	:: atomic { !in_handler && at == 2 -> flag = 1; at = 3 }
#endif
	:: atomic { !in_handler && at == 3 -> saved = 1; at = 4 }
	:: atomic {
		!in_handler && at == 4 ->
		if
#ifdef MUTANT_NO_COUNT
		:: state == RUNNING -> state = BLOCKED; NEXT; at = 5
#else
		:: state == RUNNING && count == seen -> state = BLOCKED; NEXT; at = 5
#endif
		:: else -> at = TOP	/* something came in between: again */
		fi;
		seen = 0
	}
#ifdef MUTANT_FLAG_LATE
	:: atomic { !in_handler && at == 5 -> flag = 1; at = 6 }
#else
	:: atomic { !in_handler && at == 5 -> at = 6 }	/* blocked, and back */
#endif
	:: atomic { !in_handler && at == 6 && flag && state != HELD -> state = RUNNING; NEXT; at = 7 }
	:: atomic { !in_handler && at == 6 && !flag -> at = TOP }
	:: atomic { !in_handler && at == 7 -> flag = 0; at = TOP }
	od
}

/* A handler of the program's: enters the library, may block itself, comes back or jumps. */
proctype Handler()
{
end:
	do
	:: atomic { !in_handler -> in_handler = 1 };
		if
		:: skip			/* touches nothing */
		:: true ->
#ifndef MUTANT_NO_END
			END_REGION;
#endif
			holds = 1;
			if
			:: true ->	/* a region of its own */
				flag = 1;
				saved = 2;
				atomic { state == RUNNING -> state = BLOCKED; NEXT };
				END_REGION
			:: skip
			fi;
			if
			:: skip
			:: true -> holds = 0
			fi
		fi;
		atomic {
			if
			:: true -> at = TOP	/* jumps out of all */
			:: skip
			fi;
			holds = 0;
			in_handler = 0
		}
	od
}

proctype Agent()
{
end:
	do
	:: atomic {
		state == BLOCKED ->
		state = HELD;
#if WITNESS == 1
		assert(!in_handler);
#endif
		/*
		 * Its registers are those that its own code has saved; of a region that was left, none.
		 * (run.sh looks for the word.)
		 */
		reach = (!holds || saved == 2) && (in_handler || at < 5 || at > 6 || saved == 1);
		assert(reach)
	};
		atomic { state == HELD -> state = BLOCKED }
	od
}

init {
	atomic {
		run Thread();
		run Handler();
		run Agent()
	}
}
