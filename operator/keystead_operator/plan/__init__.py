"""The planner: pure, and blind to whether pods or local processes carry it out.

`plan(desired, observed)` gives the actions that bring the observed nearer to the desired, and notes on what it leaves
alone and why. Plans are immutable, monotone (no action undoes another) and idempotent (carrying an action out twice
is the same as once); planning on the result gives an empty plan.
"""
