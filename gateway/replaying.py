"""Recorded requests, run again under another catalogue, prompt version or set of guardrails: POST /manage/replay."""
