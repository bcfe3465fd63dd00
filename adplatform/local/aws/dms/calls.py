"""The API of DMS as moto dispatches it: tasks, and configurations of DMS Serverless with their replications."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.core.responses import ActionResult

from adplatform.local.aws.dms import lifecycle, reports
from adplatform.local.aws.dms.endpoint_calls import EndpointCalls
from adplatform.local.aws.dms.errors import InvalidResourceStateFault, ResourceNotFoundFault
from adplatform.local.aws.dms.state import Replication, Table

_OF_TABLES: Mapping[str, Callable[[Table], Iterable[str]]] = {
    "schema-name": lambda table: [table.schema],
    "table-name": lambda table: [table.name],
    "table-state": lambda table: [table.state],
}


class DmsResponse(EndpointCalls):
    def create_replication_task(self) -> Any:
        asked = self.asked()
        arn = self._new_arn("task", asked)
        name = asked["ReplicationTaskIdentifier"]
        made = lifecycle.create(self.backend, arn, name, asked, serverless=False)
        return ActionResult({"ReplicationTask": {**reports.task(made), "Status": "creating"}})

    def start_replication_task(self) -> Any:
        task = self._task()
        if task.asked["ReplicationInstanceArn"] not in self.backend.replication_instances:
            raise ResourceNotFoundFault(f"Replication instance {task.asked['ReplicationInstanceArn']} is not there.")
        lifecycle.start(self.backend, task, self.params["StartReplicationTaskType"], self.asked())
        return ActionResult({"ReplicationTask": reports.task(task)})

    def stop_replication_task(self) -> Any:
        lifecycle.stop(self._task())
        return ActionResult({"ReplicationTask": reports.task(self._task())})

    def reload_tables(self) -> ActionResult:
        if self.params.get("ReloadOption", "data-reload") == "validate-only":
            raise NotImplementedError("validation")
        lifecycle.reload(self._task(), self.params["TablesToReload"])
        return ActionResult({"ReplicationTaskArn": self._task().arn})

    def modify_replication_task(self) -> ActionResult:
        changes = {name: value for name, value in self.asked().items() if name != "ReplicationTaskArn"}
        lifecycle.modify(self.backend, self._task(), changes, "ReplicationTaskIdentifier")
        return ActionResult({"ReplicationTask": {**reports.task(self._task()), "Status": "modifying"}})

    def delete_replication_task(self) -> Any:
        task = self._task()
        lifecycle.delete(self.backend, task)
        return ActionResult({"ReplicationTask": reports.task(task)})

    def describe_replication_tasks(self) -> Any:
        found = self.filtered(
            self._of_kind(serverless=False),
            {
                "replication-task-arn": lambda each: [each.arn],
                "replication-task-id": lambda each: [each.name],
                "migration-type": lambda each: [each.kind],
                "endpoint-arn": lambda each: [each.asked["SourceEndpointArn"], each.asked["TargetEndpointArn"]],
                "replication-instance-arn": lambda each: [each.asked["ReplicationInstanceArn"]],
            },
        )
        with_settings = not self.params.get("WithoutSettings")
        return self.page("ReplicationTasks", (reports.task(each, with_settings=with_settings) for each in found))

    def describe_table_statistics(self) -> ActionResult:
        return self._statistics("TableStatistics", self._task(), "ReplicationTaskArn")

    def create_replication_config(self) -> ActionResult:
        asked = self.asked()
        name = asked["ReplicationConfigIdentifier"]
        arn = self._new_arn("replication-config", asked)
        made = lifecycle.create(self.backend, arn, name, asked, serverless=True)
        return ActionResult({"ReplicationConfig": reports.config(made)})

    def modify_replication_config(self) -> ActionResult:
        changes = {name: value for name, value in self.asked().items() if name != "ReplicationConfigArn"}
        lifecycle.modify(self.backend, self._config(), changes, "ReplicationConfigIdentifier")
        return ActionResult({"ReplicationConfig": reports.config(self._config())})

    def delete_replication_config(self) -> ActionResult:
        config = self._config()
        lifecycle.delete(self.backend, config)
        return ActionResult({"ReplicationConfig": reports.config(config)})

    def describe_replication_configs(self) -> ActionResult:
        found = self.filtered(self._of_kind(serverless=True), _OF_CONFIGS)
        return self.page("ReplicationConfigs", map(reports.config, found))

    def start_replication(self) -> ActionResult:
        config = self._config()
        lifecycle.start(self.backend, config, self.params["StartReplicationType"], self.asked())
        return ActionResult({"Replication": reports.serverless(config)})

    def stop_replication(self) -> ActionResult:
        lifecycle.stop(self._config())
        return ActionResult({"Replication": reports.serverless(self._config())})

    def describe_replications(self) -> ActionResult:
        found = self.filtered(self._of_kind(serverless=True), _OF_CONFIGS)
        return self.page("Replications", map(reports.serverless, found))

    def describe_replication_table_statistics(self) -> ActionResult:
        return self._statistics("ReplicationTableStatistics", self._config(), "ReplicationConfigArn")

    def reload_replication_tables(self) -> ActionResult:
        if self.params.get("ReloadOption", "data-reload") == "validate-only":
            raise NotImplementedError("validation")
        lifecycle.reload(self._config(), self.params["TablesToReload"])
        return ActionResult({"ReplicationConfigArn": self._config().arn})

    def delete_replication_instance(self) -> Any:
        arn = self.params["ReplicationInstanceArn"]
        if any(each.asked["ReplicationInstanceArn"] == arn for each in self._of_kind(serverless=False)):
            raise InvalidResourceStateFault(f"Replication instance {arn} has tasks.")
        return super().delete_replication_instance()

    def _task(self) -> Replication:
        return self.backend.replication(self.params["ReplicationTaskArn"], serverless=False)

    def _config(self) -> Replication:
        return self.backend.replication(self.params["ReplicationConfigArn"], serverless=True)

    def _of_kind(self, *, serverless: bool) -> list[Replication]:
        return [each for each in self.backend.replications.values() if each.serverless == serverless]

    def _new_arn(self, kind: str, asked: Mapping[str, Any]) -> str:
        name = asked.get("ResourceIdentifier") or secrets.token_hex(13).upper()
        return f"arn:aws:dms:{self.region}:{self.current_account}:{kind}:{name}"

    def _statistics(self, name: str, replication: Replication, arn: str) -> ActionResult:
        lifecycle.require_started(replication)
        tables = self.filtered(replication.tables.values(), _OF_TABLES)
        return self.page(name, map(reports.table_statistics, tables), most=500, **{arn: replication.arn})


_OF_CONFIGS: Mapping[str, Callable[[Replication], Iterable[str]]] = {
    "replication-config-arn": lambda each: [each.arn],
    "replication-config-id": lambda each: [each.name],
}
