"""A run's results as one HTML page that carries everything it shows: `write_report(path, Report(...))`."""

from dukd_basicsr.evaluation.report.content import Comparison, Form, Report
from dukd_basicsr.evaluation.report.page import format_report, write_report

__all__ = ['Comparison', 'Form', 'Report', 'format_report', 'write_report']
