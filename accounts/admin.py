"""What staff see of accounts; secrets and whatever widens a key are out of reach here too."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin

from .models import ApiKey, User


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    list_display = ("username", "email", "display_name", "is_organization", "is_staff")
    search_fields = ("username", "email", "display_name")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Profile", {"fields": ("display_name", "email", "bio", "is_organization")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = ("name", "key_id", "user", "scope", "expires_at", "last_used_at", "revoked_at")
    search_fields = ("name", "key_id", "user__username")
    list_select_related = ("user",)
    readonly_fields = (
        "user", "key_id", "scope", "allowed_ips", "expires_at",
        "created_at", "last_used_at", "last_used_ip", "revoked_at",
    )  # fmt: skip
    fields = ("name", *readonly_fields)
    actions = ["revoke"]

    def has_add_permission(self, request):
        return False

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request, queryset):
        for api_key in queryset.filter(revoked_at=None):
            api_key.revoke()
