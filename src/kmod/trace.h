/* SPDX-License-Identifier: GPL-2.0-only */
/* One tracepoint for each step in the life of a lease. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mapdirect

#if !defined(MAPDIRECT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MAPDIRECT_TRACE_H

#include <linux/tracepoint.h>

#include "lease.h"

DECLARE_EVENT_CLASS(mapdirect_lease,
		    TP_PROTO(const struct md_lease *l),
		    TP_ARGS(l),
		    TP_STRUCT__entry(__field(u64, generation)
				     __field(dev_t, dev)
				     __field(unsigned long, ino)
				     __field(unsigned long, index)
				     __field(unsigned long, nr_pages)),
		    TP_fast_assign(__entry->generation = l->generation;
				   __entry->dev = l->dev;
				   __entry->ino = l->ino;
				   __entry->index = l->index;
				   __entry->nr_pages = l->nr_pages;),
		    TP_printk("generation=%llu dev=%u:%u inode=%lu page=%lu pages=%lu",
			      __entry->generation, MAJOR(__entry->dev), MINOR(__entry->dev),
			      __entry->ino, __entry->index, __entry->nr_pages)
);

DEFINE_EVENT(mapdirect_lease, mapdirect_acquire,
	     TP_PROTO(const struct md_lease *l),
	     TP_ARGS(l)
);

DEFINE_EVENT(mapdirect_lease, mapdirect_release,
	     TP_PROTO(const struct md_lease *l),
	     TP_ARGS(l)
);

DEFINE_EVENT(mapdirect_lease, mapdirect_revoke,
	     TP_PROTO(const struct md_lease *l),
	     TP_ARGS(l)
);

TRACE_EVENT(mapdirect_break,
	    TP_PROTO(const struct md_lease *l),
	    TP_ARGS(l),
	    TP_STRUCT__entry(__field(u64, generation)
			     __field(u64, deadline_ns)
			     __field(int, reason)
			     __array(char, comm, TASK_COMM_LEN)),
	    TP_fast_assign(__entry->generation = l->generation;
			   __entry->deadline_ns = l->deadline_ns;
			   __entry->reason = l->reason;
			   memcpy(__entry->comm, l->breaker.comm, TASK_COMM_LEN);),
	    TP_printk("generation=%llu reason=%d breaker=%s deadline_ns=%llu",
		      __entry->generation, __entry->reason, __entry->comm,
		      __entry->deadline_ns)
);

TRACE_EVENT(mapdirect_kill,
	    TP_PROTO(const struct md_lease *l, pid_t pid),
	    TP_ARGS(l, pid),
	    TP_STRUCT__entry(__field(u64, generation)
			     __field(pid_t, pid)),
	    TP_fast_assign(__entry->generation = l->generation;
			   __entry->pid = pid;),
	    TP_printk("generation=%llu pid=%d", __entry->generation, __entry->pid)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
