"""What runs by the clock: alerts and experiments every minute, the rest every quarter of an hour.

A Functions timer runs on one instance at a time; its schedule is six fields, the seconds first, in UTC. What is done, and that
doing it twice does no harm, is the business of `gateway/alerts/housekeeping.py`.
"""

import azure.functions as func

from gateway import container

bp = func.Blueprint()


@bp.function_name("housekeeping_minute")
@bp.timer_trigger(schedule="0 * * * * *", arg_name="timer")
async def minute(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's name for it
    """Look for spikes, tell of alerts."""
    await (await container.get()).housekeeping.minute()


@bp.function_name("housekeeping_quarter")
@bp.timer_trigger(schedule="30 */15 * * * *", arg_name="timer")
async def quarter(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's name for it
    """Give back what dead workers held, hand over what was forgotten, delete what is old."""
    await (await container.get()).housekeeping.quarter()
