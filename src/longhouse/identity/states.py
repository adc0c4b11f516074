"""Which status of a tenant may follow which."""

from longhouse.identity.models import TenantStatus
from longhouse.kit.states import Transitions

TENANT_STEPS = Transitions(
    {
        TenantStatus.ACTIVE: {TenantStatus.SUSPENDED, TenantStatus.DELETED},
        TenantStatus.SUSPENDED: {TenantStatus.ACTIVE, TenantStatus.DELETED},
        TenantStatus.DELETED: {TenantStatus.ACTIVE},
    }
)
"""A deleted tenant can be restored until its data is gone."""
