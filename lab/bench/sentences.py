"""What the page of each step says of its costs: a sentence, with figures of the bench in it.

`one` and `fifty` are what a request takes beside step 6 with so many clients, by the server.
"""

SENTENCES = {
    "step1": """
        For its one client a request of 64 bytes takes {one[step1_sequential]:.2f} times the CPU
        time that it takes in step 6. Its price is the time of whoever comes second.""",
    "step2": """
        With 50 clients that talk, a request takes {fifty[step2_thread_per_client]:.2f} times the
        CPU time that it takes in step 6, where one thread serves them all.""",
    "step3": """
        It looks at two clocks before and after every call, also with `--quiet`: beside step 6 a
        request of one client takes {one[step3_blocking]:.2f} times the CPU time, where step 1
        takes {one[step1_sequential]:.2f}.""",
    "step6": """
        With 50 clients that talk, uvloop, whose loop is written in C, takes
        {fifty[uvloop protocol]:.2f} times the CPU time of this step for a request, and asyncio
        {fifty[asyncio protocol]:.2f} times, once a first generation of clients has come and gone
        ([why that matters](../docs/benchmarks.md#cold-and-warm)).""",
    "step7": """
        A request takes {fifty[step7_event_loop_threadpool]:.2f} times the CPU time that it takes
        in step 6, whose loop has no timers and no pool; in uvloop it takes
        {fifty[uvloop protocol]:.2f} times as much, and in asyncio
        {fifty[asyncio protocol]:.2f}.""",
}
