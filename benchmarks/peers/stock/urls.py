from rest_framework import routers

from .views import PetViewSet

router = routers.DefaultRouter()
router.register("pets", PetViewSet, basename="pet")
urlpatterns = router.urls
