"""Quality metrics: functions of a real and a fake :class:`Sample`, computed without MindSpore."""
