"""What `Client.doctor` and `klife doctor` do: knock at every address of a cluster, and say what is wrong.

- `report`: what they return, and how it prints
- `verdict`: pure: what the checks together mean, and the next step
- `leaders`: pure: what an answer to Metadata says of partitions and replicas
- `probe`, with `reach`, `conversation` and `certificate`: one address, step by step
- `advice`: what to do about a step that failed
- `examination`: all addresses, at once and in time
"""

from __future__ import annotations

from klife.api.doctor.report import Check, DoctorReport

__all__ = ["Check", "DoctorReport"]
