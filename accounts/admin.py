"""What staff see of accounts; secrets and whatever widens a key are out of reach here too."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.db import models
from oauth2_provider.models import revoke_access_token

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
    """Keys: to be seen, revoked and removed, never made or changed."""

    list_display = ("name", "key_id", "user", "scope", "state", "expires_at", "last_used_at")
    list_filter = ("exposed_how",)
    search_fields = ("name", "key_id", "user__username")
    list_select_related = ("user",)
    readonly_fields = (
        "user", "key_id", "scope", "allowed_ips", "expires_at",
        "created_at", "last_used_at", "last_used_ip", "disabled_at", "revoked_at",
        "exposed_at", "exposed_how", "replaced_by",
    )  # fmt: skip
    fields = ("name", *readonly_fields)
    actions = ("revoke",)

    def has_add_permission(self, request):
        return False  # the account's pages make keys, and show them to their owner

    def has_change_permission(self, request, obj=None):
        return False

    @admin.display
    def state(self, api_key):
        if api_key.revoked_at:
            return "revoked"
        if not api_key.is_live:
            return "expired"
        return "off" if api_key.disabled_at else "on"

    @admin.action(description="Revoke the selected keys", permissions=["delete"])
    def revoke(self, request, queryset):
        for api_key in queryset.filter(revoked_at=None):
            api_key.revoke()
            self.log_change(request, api_key, "Revoked.")


# --- The toolkit registers these itself, by their names in settings.OAUTH2_PROVIDER ----------


class ApplicationAdmin(admin.ModelAdmin):
    """Apps as staff see them; what one is, its secrets and its state are not for the form."""

    list_display = (
        "name", "client_id", "publisher", "is_verified", "is_active", "registration_source",
        "created",
    )  # fmt: skip
    list_filter = ("is_verified", "is_active", "registration_source", "client_type")
    list_select_related = ("user",)
    search_fields = ("name", "client_id", "user__username", "homepage_url")
    readonly_fields = (
        "client_id", "client_type", "registration_source", "is_verified", "is_active",
        "is_suspended", "created",
        "secret_created_at", "secret_used_at", "old_secret_created_at", "old_secret_used_at",
    )  # fmt: skip
    fields = (
        "name", "user", "homepage_url", "policy_url",
        "redirect_uris", "post_logout_redirect_uris", "allowed_origins", "scope", "default_scope",
        "authorization_grant_type", "extra_grant_types",
        *readonly_fields,
    )  # fmt: skip
    raw_id_fields = ("user",)
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    actions = ("verify", "take_badge_away", "switch_off", "switch_on")

    def has_add_permission(self, request):
        return False  # the portal makes apps, and shows their secret

    @admin.display(ordering="user__username", empty_value="nobody")
    def publisher(self, application):
        return application.user

    @admin.action(description="Verify: we know who publishes it", permissions=["change"])
    def verify(self, request, queryset):
        self.set_verified(request, queryset, True, "Verified.")

    @admin.action(description="Take the verified badge away", permissions=["change"])
    def take_badge_away(self, request, queryset):
        self.set_verified(request, queryset, False, "No longer verified.")

    def set_verified(self, request, queryset, is_verified, said):
        for application in queryset.exclude(is_verified=is_verified):
            application.is_verified = is_verified
            application.save(update_fields=["is_verified", "updated"])
            self.log_change(request, application, said)

    @admin.action(description="Switch off, until staff switch it on again", permissions=["change"])
    def switch_off(self, request, queryset):
        self.switch(request, queryset, False, "Switched off.")

    @admin.action(description="Switch on", permissions=["change"])
    def switch_on(self, request, queryset):
        self.switch(request, queryset, True, "Switched on.")

    def switch(self, request, queryset, on, said):
        for application in queryset:
            application.is_active, application.is_suspended = on, not on
            application.save(update_fields=["is_active", "is_suspended", "updated"])
            self.log_change(request, application, said)


class CredentialAdmin(admin.ModelAdmin):
    """Codes and tokens: to be seen and removed, never made or changed; themselves not shown."""

    list_display = ("pk", "application", "user", "expires")
    list_select_related = ("application", "user")
    search_fields = ("application__client_id", "application__name", "user__username", "user__email")
    exclude = ("token", "token_checksum", "code")

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class AccessTokenAdmin(CredentialAdmin):
    list_display = ("pk", "application", "user", "scope", "expires", "last_used_at")
    actions = ("revoke",)

    @admin.action(description="Revoke the selected tokens", permissions=["delete"])
    def revoke(self, request, queryset):
        for access_token in queryset:
            revoke_access_token(access_token)  # and what would bring it back


class RefreshTokenAdmin(CredentialAdmin):
    list_display = ("pk", "application", "user", "scope", "created", "revoked")
    actions = ("revoke",)

    @admin.action(description="Revoke the selected tokens", permissions=["delete"])
    def revoke(self, request, queryset):
        for refresh_token in queryset:
            refresh_token.revoke()
