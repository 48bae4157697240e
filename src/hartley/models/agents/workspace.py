"""AgentDojo's suite workspace: what a scripted, credulous agent does for 40 prompts and 14 goals.

Mail, calendar and drive have a file each for what users ask; `workspace_orders` has what a text can
ask for. Programs choose among mails and files by structured fields (sender, owner, time, size)
before they read what somebody wrote.
"""

from __future__ import annotations

from collections.abc import Mapping

from hartley.core.system import Place
from hartley.kit.agents.world import Tool
from hartley.models.agents import workspace_calendar, workspace_drive, workspace_mail
from hartley.models.agents.steps import ListPolicy
from hartley.models.agents.workspace_orders import ORDERS

POLICY = ListPolicy(
    programs=(
        *workspace_mail.PROGRAMS,
        *workspace_drive.PROGRAMS,
        *workspace_calendar.PROGRAMS,
    ),
    orders=ORDERS,
)
"""What decides the steps of the agent of this suite."""

# What the sender of a mail, the inviter to an event and the sharer of a file write freely. Numbers,
# times, sizes, owners and addresses are the servers' records.
_MAIL = ("subject", "body", "attachments")
_EVENT = ("title", "description", "location")
_FILE = ("filename", "content")

_ALL = (
    Tool(
        "send_email",
        acts=True,
        sensitive=("recipients", "cc", "bcc"),
        place=Place.AGENT_MESSAGE,
    ),
    Tool("delete_email", acts=True, sensitive=("email_id",)),
    Tool("get_unread_emails", foreign=_MAIL),
    Tool("get_received_emails", foreign=_MAIL),
    Tool("search_emails", foreign=_MAIL),
    Tool("get_sent_emails"),
    Tool("get_draft_emails"),
    Tool("search_contacts_by_name"),
    Tool("search_contacts_by_email"),
    Tool("get_current_day"),
    Tool("search_calendar_events", foreign=_EVENT),
    Tool("get_day_calendar_events", foreign=_EVENT),
    Tool(
        "create_calendar_event",
        acts=True,
        sensitive=("participants",),
        foreign=_EVENT,
        place=Place.MEMORY_WRITE,
    ),
    Tool("cancel_calendar_event", acts=True, sensitive=("event_id",)),
    Tool("reschedule_calendar_event", acts=True, sensitive=("event_id",), foreign=_EVENT),
    Tool(
        "add_calendar_event_participants",
        acts=True,
        sensitive=("event_id", "participants"),
        foreign=_EVENT,
    ),
    Tool("search_files_by_filename", foreign=_FILE),
    Tool("search_files", foreign=_FILE),
    Tool("get_file_by_id", foreign=_FILE),
    Tool("list_files", foreign=_FILE),
    Tool("create_file", acts=True, sensitive=("filename",), foreign=_FILE, place=Place.FILE),
    Tool("append_to_file", acts=True, sensitive=("file_id",), foreign=_FILE, place=Place.FILE),
    Tool("delete_file", acts=True, sensitive=("file_id",), foreign=_FILE),
    Tool("share_file", acts=True, sensitive=("file_id", "email"), foreign=_FILE),
)

TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in _ALL}
"""What the agent's owner knows of each tool; descriptions and parameters are the host's."""
