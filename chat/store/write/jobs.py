"""Jobs: work that is done in small steps between other commits, and continues after a restart.

A rule adds a job in the transaction of an act whose work takes long, or which may be done by a
command that cannot append events (`Transaction.add_job`). The server then runs step after step,
each in a transaction, the oldest job first. A job keeps its place in its arguments, so a step that
was not committed is repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import BindParameter, bindparam, select, update

from chat.store.operations import JobStep, RunNextJob
from chat.store.schema import jobs
from chat.store.sql import Prepared
from chat.store.write.accounts import erasure
from chat.store.write.channels import membership, ownership
from chat.store.write.messages import channel_deletion, expiry
from chat.store.write.transaction import JobProgress, Transaction

__all__ = ["run_next_job"]

_STEPS: Mapping[str, Callable[[Transaction, dict[str, Any]], JobProgress]] = {
    erasure.JOB: erasure.erase_step,
    ownership.JOB: ownership.pass_on_step,
    membership.DELETION: channel_deletion.erase_channel_step,
    expiry.JOB: expiry.expire_step,
}
"""The function that runs a step of each kind of job, from the job's arguments."""
_known: list[BindParameter[str]] = [
    bindparam(f"operation_{place}", kind) for place, kind in enumerate(_STEPS)
]
_NEXT_JOB = Prepared(
    select(jobs.c.id, jobs.c.operation, jobs.c.arguments)
    .where(jobs.c.result.is_(None), jobs.c.operation.in_(_known))
    .order_by(jobs.c.id)
    .limit(1)
)
_SET_JOB = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(arguments=bindparam("now_arguments"), result=bindparam("now_result"))
)


def run_next_job(transaction: Transaction, _operation: RunNextJob) -> JobStep:
    """Run the next step of the oldest job."""
    job = transaction.first(_NEXT_JOB)
    if job is None:
        return JobStep(is_last=True)
    progress = _STEPS[job.operation](transaction, json.loads(job.arguments))
    result = json.dumps(progress.result) if progress.result is not None else None
    arguments = json.dumps(progress.arguments)
    for pair in progress.renamed:
        transaction.tell("renamed", pair)
    transaction.execute(_SET_JOB, job=job.id, now_arguments=arguments, now_result=result)
    return JobStep(is_last=False, renamed=progress.renamed)
